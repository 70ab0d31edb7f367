"""Claims of points by processes of this machine and of others."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imgloc.sweeps import claims
from imgloc.sweeps.claims import Claims
from tests.refusals import assert_refused


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.1)


def owner(folder: Path, code: str, machine: str = "") -> subprocess.Popen[str]:
    """A process that holds point p, prints a line, and continues with `code`; its beats are fast."""
    text = "\n".join([
        "import subprocess, sys, time, pathlib", "from imgloc.sweeps import claims", "claims.BEAT_SECONDS, claims.LEASE_SECONDS = 0.1, 1.0",
        f"with claims.Claims(pathlib.Path({str(folder)!r}), {machine!r}).hold('p') as claim:", f"    {code}",
    ])  # fmt: skip
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)


def test_a_point_has_one_claim_at_a_time(tmp_path: Path) -> None:
    with Claims(tmp_path).hold("p") as first:
        assert first is not None
        with Claims(tmp_path).hold("p") as second, Claims(tmp_path).hold("q") as other:
            assert (second, other is None) == (None, False)
        assert Claims(tmp_path).holder("p") == claims.socket.gethostname()
    assert Claims(tmp_path).holder("p") == ""
    with Claims(tmp_path).hold("p") as again:
        assert again is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.claim.1", "p.claim.2", "q.claim.1"]


def test_of_many_that_claim_at_once_one_succeeds(tmp_path: Path) -> None:
    """Each thread has its own view of the folder, as a process has. All see the same claim as over."""
    for number in range(1, 6):
        views = [Claims(tmp_path) for _ in range(16)]
        assert {view.next("p") for view in views} == {number}
        start, end, held = threading.Barrier(16), threading.Barrier(16), []

        def claim(view: Claims, start: threading.Barrier = start, end: threading.Barrier = end, held: list[Claims] = held) -> None:
            start.wait()
            with view.hold("p") as mine:
                held.extend([view] if mine else [])
                end.wait()

        threads = [threading.Thread(target=claim, args=(view,)) for view in views]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(held) == 1


def test_a_claim_is_over_when_the_last_process_that_inherited_it_has_ended(tmp_path: Path) -> None:
    """The training of a killed sweep still holds the claim until it has ended too; the age of the claim does not matter."""
    child_code = "[sys.executable, '-c', 'import sys; sys.stdin.read()'], pass_fds=(claim.handle,), stdin=subprocess.PIPE"
    process = owner(tmp_path, f"child = subprocess.Popen({child_code}); print(child.pid, flush=True); time.sleep(100)")
    assert process.stdout
    child = int(process.stdout.readline())
    os.kill(child, signal.SIGSTOP)  # so that it does not notice that its standard input closes
    process.kill()
    process.wait()
    process.stdout.close()
    view = Claims(tmp_path)
    assert view.next("p") is None
    os.kill(child, signal.SIGCONT)
    wait_for(lambda: view.next("p") == 2)


@pytest.mark.usefixtures("short_lease")
def test_a_claim_of_another_machine_is_over_when_it_does_not_change_for_the_lease(tmp_path: Path) -> None:
    process = owner(tmp_path, "print(1, flush=True); time.sleep(100)", machine="another")
    assert process.stdout
    process.stdout.readline()
    view, since = Claims(tmp_path), time.monotonic()
    while time.monotonic() - since < 2.5:
        assert view.next("p") is None  # its owner changes it
        time.sleep(0.1)
    process.kill()
    process.wait()
    process.stdout.close()
    killed = time.monotonic()
    wait_for(lambda: view.next("p") == 2)
    assert time.monotonic() - killed > 0.8
    assert Claims(tmp_path).next("p") is None  # another process has not watched it for so long


@pytest.mark.usefixtures("short_lease")
def test_an_owner_that_was_away_notices_that_its_claim_was_taken(tmp_path: Path) -> None:
    here, there = Claims(tmp_path, "here"), Claims(tmp_path, "there")
    with here.hold("p") as claim:
        assert claim is not None
        claim._end.set()  # no beats any more, as if this machine were paused
        claim._thread.join()
        wait_for(lambda: there.next("p") == 2)
        with there.hold("p") as taken:
            assert taken is not None
            claim._end.clear()
            claim._beat()
            assert (claim.lost, taken.lost) == (True, False)
            assert here.next("p") is None


@pytest.mark.usefixtures("short_lease")
def test_an_owner_that_cannot_write_for_the_lease_gives_its_claim_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the server is away")

    with Claims(tmp_path).hold("p") as claim:
        assert claim is not None
        monkeypatch.setattr(claims, "_write", fail)
        wait_for(lambda: claim.lost, 5)


def test_a_torn_or_foreign_file_counts_as_a_claim_of_another_machine(tmp_path: Path) -> None:
    (tmp_path / "p.claim.1").write_bytes(b"{\0")
    assert Claims(tmp_path).next("p") is None


def test_file_systems_without_hard_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_claim_refused(errno.EPERM, tmp_path, monkeypatch, "does not support locks or hard links", "choose another --workdir")


def test_a_full_disk_is_not_reported_as_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_claim_refused(errno.ENOSPC, tmp_path, monkeypatch, f"cannot write '{tmp_path}'", "free some space there")


def assert_claim_refused(number: int, folder: Path, monkeypatch: pytest.MonkeyPatch, *contains: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", refuse)
    with contextlib.ExitStack() as stack:
        assert_refused(lambda: stack.enter_context(Claims(folder).hold("p")), *contains)
    assert not list(folder.iterdir())


def test_a_link_that_nfs_reports_as_existing_after_it_was_created_is_a_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that a server answered and the network lost is sent again, and then fails."""
    link = os.link

    def twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr("os.link", twice)
    with Claims(tmp_path).hold("p") as claim:
        assert claim is not None
