"""Kill a run, resume it, and compare its bits with those of the run that was left alone. Real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

from imgloc.cli import main
from imgloc.runs import run_dir
from imgloc.training import checkpoint, setup
from tests import processes


def saved_states(workdir: Path) -> dict[str, np.ndarray]:
    """Every array of every checkpoint that is kept: parameters, averages, optimizer; by step and path."""
    run, config = run_dir.open_run(str(workdir))
    parts = setup.set_up(config)
    found = {}
    with checkpoint.open_manager(run.checkpoints, read_only=True) as manager:
        target = jax.eval_shape(parts.init, config.seed)
        one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=one), target)
        for number in manager.all_steps():
            state = checkpoint.restore(manager, number, target)
            leaves = jax.tree_util.tree_leaves_with_path(state)
            found |= {f"{number} {jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in leaves}
    return found


def assert_same_bits(workdir: Path, reference: Path) -> None:
    """The same checkpoints to the bit, the best one too, and each step once in the journal with the same numbers."""
    ours, theirs = saved_states(workdir), saved_states(reference)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 50
    assert (workdir / "finished.json").read_text() == (reference / "finished.json").read_text()
    different = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
    assert not different
    assert (workdir / "metrics.jsonl").read_text() == (reference / "metrics.jsonl").read_text()


def interrupt(
    arguments: tuple[str, ...], workdir: Path, cache: Path, when: Callable[[], bool], number: int, *, group: bool = False
) -> subprocess.CompletedProcess[str]:
    """Start a run, send it (or its whole group) a signal as soon as `when` holds, and wait for its end."""
    process = processes.start("train", *arguments, "--workdir", str(workdir), cache=cache, own_group=group)
    deadline = time.monotonic() + 120
    while not when():
        assert process.poll() is None, f"the run ended before it was interrupted: {process.communicate()}"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    if group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def stopped(arguments: tuple[str, ...], workdir: Path, cache: Path, when: Callable[[], bool], *, group: bool = False) -> int:
    """The step that a run has saved which SIGTERM ended within seconds."""
    asked: list[float] = []

    def now() -> bool:
        begun = when()
        asked.append(time.monotonic())
        return begun

    process = interrupt(arguments, workdir, cache, now, signal.SIGTERM, group=group)
    assert process.returncode == 0, process.stderr
    assert time.monotonic() - asked[-1] < 15
    assert "stopped, its state is saved" in process.stdout
    step = int(json.loads((workdir / "provenance.json").read_text())["sessions"][-1]["to_step"])
    assert (workdir / "checkpoints" / str(step)).is_dir()
    return step


def step_saved(workdir: Path, step: int) -> Callable[[], bool]:
    return lambda: (workdir / "checkpoints" / str(step)).is_dir()


def saving_after(workdir: Path, step: int) -> Callable[[], bool]:
    """In the middle of the first save after a step; what an earlier process was killed over does not count."""
    folder = workdir / "checkpoints"

    def unfinished() -> set[tuple[str, int]]:
        found = os.scandir(folder) if folder.is_dir() else ()
        return {(entry.name, entry.inode()) for entry in found if "tmp" in entry.name and entry.name.split(".")[0] != str(step)}

    left = unfinished()
    return lambda: not unfinished() <= left


def test_a_run_killed_again_and_again_resumes_to_the_same_bits(tmp_path: Path, tiny_run: Path, cache: Path) -> None:
    """Before its first checkpoint, after it, in the middle of a save, and late: what a resume gets wrong, no later one puts right."""
    workdir = tmp_path / "run"
    moments = (
        lambda: (workdir / "config.json").exists, lambda: step_saved(workdir, 10), lambda: saving_after(workdir, 10),
        lambda: step_saved(workdir, 40),
    )  # fmt: skip
    for moment in moments:
        process = interrupt(processes.TINY, workdir, cache, moment(), signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert not (workdir / "finished.json").exists()
    processes.train_here(*processes.TINY, workdir=workdir)
    assert_same_bits(workdir, tiny_run)
    assert event_steps(workdir) == event_steps(tiny_run)  # of TensorBoard: each step stands there once
    assert len(event_steps(workdir)) == len(set(event_steps(workdir)))


def test_a_run_with_worker_processes_gives_the_same_bits_killed_or_not(tmp_path: Path, tiny_run: Path, cache: Path) -> None:
    workdir = tmp_path / "run"
    arguments = (*processes.TINY, "--config.data.workers=2")
    interrupt(arguments, workdir, cache, step_saved(workdir, 20), signal.SIGKILL)
    assert not (workdir / "finished.json").exists()
    deadline = time.monotonic() + 20
    while leftovers(workdir):  # workers see within a second that their parent is gone
        assert time.monotonic() < deadline, leftovers(workdir)
        time.sleep(0.2)
    done = processes.run("train", *arguments, "--workdir", str(workdir), cache=cache)
    assert "leaked" not in done.stderr  # shared memory of the workers'
    assert_same_bits(workdir, tiny_run)


def leftovers(workdir: Path) -> list[str]:
    """Processes that were started with this test's name in their environment: those that a killed run left behind."""
    mark = f"IMGLOC_TEST={workdir}".encode()
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environment.read_bytes():
                found.append(environment.parent.name)
        except OSError:
            continue  # it has ended meanwhile
    return found


def test_a_run_killed_while_it_began_begins_again(tmp_path: Path, tiny_run: Path) -> None:
    workdir = tmp_path / "run"
    workdir.mkdir()
    for name in ("data.json", "provenance.json", ".lock", ".config.json.123.tmp"):
        (workdir / name).write_text("{")
    processes.train_here(*processes.TINY, workdir=workdir)
    assert_same_bits(workdir, tiny_run)


def test_two_trainings_of_one_folder_are_refused_and_another_seed_gives_other_bits(
    tmp_path: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between its steps a run looks whether it is asked to stop: here it tries another training of its folder. The comparison can fail."""
    workdir = tmp_path / "run"
    arguments = (*processes.TINY, "--config.seed=1")
    codes = []

    class Second:
        @property
        def requested(self) -> bool:
            if not codes:
                capsys.readouterr()
                codes.append(main.main(["train", *arguments, "--workdir", str(workdir)]))
            return False

    assert processes.train_here(*arguments, workdir=workdir, stop=Second()) == "finished"
    err = capsys.readouterr().err
    assert codes == [2]
    refusal = f"imgloc train: another process is training in '{workdir}'; wait for it, or choose another --workdir"
    assert [line for line in err.splitlines() if not line.startswith("step")] == [refusal]
    with pytest.raises(AssertionError):
        assert_same_bits(workdir, tiny_run)


def test_sigterm_and_ctrl_c_save_and_end_well_and_the_same_run_goes_on(tmp_path: Path, tiny_run: Path, cache: Path) -> None:
    workdir = tmp_path / "run"
    stopped_at = stopped(processes.TINY, workdir, cache, (workdir / "config.json").exists)
    assert 0 <= stopped_at < 50
    process = interrupt(processes.TINY, workdir, cache, step_saved(workdir, stopped_at // 10 * 10 + 10), signal.SIGINT)
    assert process.returncode == 130, process.stderr
    assert "stopped, its state is saved" in process.stdout
    assert "Traceback" not in process.stderr
    assert not (workdir / "finished.json").exists()
    processes.train_here(*processes.TINY, workdir=workdir)
    assert_same_bits(workdir, tiny_run)


def test_sigterm_lets_workers_finish_sent_to_a_run_or_to_its_whole_group(tmp_path: Path, tiny_run: Path, cache: Path) -> None:
    workdir = tmp_path / "run"
    arguments = (*processes.TINY, "--config.data.workers=1")
    stopped_at = stopped(arguments, workdir, cache, step_saved(workdir, 10))
    assert 10 <= stopped_at < 50
    again = stopped(arguments, workdir, cache, step_saved(workdir, stopped_at // 10 * 10 + 10), group=True)
    assert stopped_at < again < 60
    processes.run("train", *arguments, "--workdir", str(workdir), cache=cache)
    assert_same_bits(workdir, tiny_run)


def event_steps(workdir: Path) -> list[tuple[str, int]]:
    """(tag, step) of each scalar in a run's TensorBoard files, read record by record."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted((workdir / "events").iterdir()):
        content = path.read_bytes()
        position = 0
        while position < len(content):  # TFRecord: length (8 bytes), its checksum (4), the record, its checksum (4)
            length = int.from_bytes(content[position : position + 8], "little")
            event = Event.FromString(content[position + 12 : position + 12 + length])
            found += [(value.tag, event.step) for value in event.summary.value]
            position += 16 + length
    return sorted(found)
