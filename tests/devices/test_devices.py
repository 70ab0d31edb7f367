"""Several devices, faked on the CPU, and several processes on loopback, give what one device gives."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from imgloc import files
from imgloc.config import build
from imgloc.devices import mesh, multihost
from imgloc.errors import UserError
from imgloc.training import loop
from tests import processes
from tests.refusals import assert_refused
from tests.several_devices import CNN, STEPS, STOPPED_AT, StopAt, resolved, rows

TWO_BY_TWO = ("--config.devices.fsdp=2",)


def records(workdir: Path, kind: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [record for record in found if record["kind"] == kind]


def losses(workdir: Path) -> np.ndarray:
    """Of all steps, each of which stands there once."""
    found = records(workdir, "train")
    assert [record["step"] for record in found] == list(range(1, STEPS + 1))
    return np.array([record["loss"] for record in found])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With `one`, a run trained on the one device of this process."""
    folder = tmp_path_factory.mktemp("devices")
    assert loop.train(resolved(), str(folder / "one"), stop=StopAt(STEPS + 1)) == "finished"
    assert np.abs(np.diff(losses(folder / "one"))).max() > 1e-2  # the losses move, so that 1e-4 is a tight bar
    return folder


@pytest.fixture(scope="module")
def four(folder: Path, cache: Path) -> dict[str, Any]:
    """What a process with four devices has found; it leaves the run `stopped` in the folder."""
    command = [sys.executable, "-m", "tests.several_devices", str(folder)]
    environment = processes.environment(cache, devices=4)
    done = subprocess.run(command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found


@pytest.mark.parametrize("how", ["copied", "split"])
def test_four_devices_give_the_losses_of_one(how: str, folder: Path, four: dict[str, Any]) -> None:
    np.testing.assert_allclose(four[how]["losses"], losses(folder / "one"), atol=1e-4)


def test_what_is_trained_lies_in_parts_and_takes_less_memory(four: dict[str, Any]) -> None:
    copied, found = four["copied"], four["split"]
    assert set(copied["split"].values()) == {1}
    assert set(found["split"].values()) == {1, 4}
    assert found["all_bytes"] == copied["all_bytes"] == copied["bytes"]
    in_parts = {name for name, count in found["split"].items() if count == 4}
    assert {name.split("/")[0] for name in in_parts} == {"params", "opt_state", "ema"}, in_parts
    assert found["bytes"] < found["all_bytes"] * 0.4
    # As compiled: what a step is given, and all that it needs at once.
    saved = found["all_bytes"] - found["bytes"]
    assert copied["arguments"] - found["arguments"] == pytest.approx(saved, rel=0.05)
    assert found["at_most"] < copied["at_most"] - saved / 2


def test_the_longest_axis_that_is_divided_is_split_and_small_arrays_stay_whole() -> None:
    devices = jax.sharding.AbstractMesh((2, 4), mesh.AXES)

    def spec(*shape: int) -> tuple[Any, ...]:
        return tuple(mesh.split_parameter(shape, devices).spec)

    assert spec(3, 3, 64, 128) == (None, None, None, "fsdp")
    assert spec(512, 128) == ("fsdp",)
    assert spec(512, 512) == (None, "fsdp")
    assert spec(4 * mesh.SMALL + 1, 8) == (None, "fsdp")  # the longest is not divided
    assert spec(mesh.SMALL + 1) == spec(63, 65) == spec(mesh.SMALL // 2) == spec() == ()
    assert spec(mesh.SMALL) == ("fsdp",)


def test_a_mesh_that_devices_do_not_make_up_is_refused() -> None:
    def made(count: int, data: int, fsdp: int) -> Callable[[], Any]:
        return lambda: mesh.make_mesh([jax.devices()[0]] * count, data=data, fsdp=fsdp)

    assert_refused(made(4, -1, 3), "data -1 x fsdp 3", "4 device(s)", "fsdp one of 1, 2, 4")
    assert_refused(made(4, 2, 1), "data 2 x fsdp 1")
    assert_refused(made(4, 8, -1), "data 8 x fsdp -1")
    assert_refused(made(4, -1, -1), "-1")
    assert_refused(made(4, 0, 1), "data is 0")
    assert dict(mesh.make_mesh(data=-1, fsdp=1).shape) == {"data": 1, "fsdp": 1}


def assert_same_rows(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert len(found) == len(expected) == 2000
    for column in ("id", "group", "label", "boxes", "labels", "split"):
        assert [row[column] for row in found] == [row[column] for row in expected]
    for column in ("pred_box", "top_scores"):
        np.testing.assert_allclose([row[column] for row in found], [row[column] for row in expected], atol=1e-5)
    assert np.ptp([row["pred_box"] for row in found], axis=0).min() > 1e-3  # the answers are not all alike


@pytest.fixture(scope="module")
def by_tens(folder: Path) -> list[dict[str, Any]]:
    """Rows of 2,000 images, ten a batch, on one device."""
    found: list[dict[str, Any]] = rows(folder / "one", fsdp=1, batch_size=10)
    return found


@pytest.mark.parametrize("how", ["fsdp 1", "fsdp 4"])
def test_four_devices_evaluate_each_image_once_and_alike(how: str, four: dict[str, Any], by_tens: list[dict[str, Any]]) -> None:
    assert_same_rows(four["rows"][how], by_tens)


def test_a_batch_that_devices_do_not_divide_is_refused(folder: Path, four: dict[str, Any]) -> None:
    assert four["indivisible"]["code"] == 2
    assert "train.batch_size 18 is not divisible by 4 devices" in four["indivisible"]["err"]
    assert len(four["indivisible"]["err"].splitlines()) == 1
    assert not (folder / "no").exists()


@pytest.mark.parametrize("wrapped", [lambda lost: lost, lambda lost: OSError(f"/a/checkpoints: {lost}"), lambda lost: UserError("damaged")])
def test_a_lost_process_is_told_whatever_met_it_first(wrapped: Callable[[Exception], Exception]) -> None:
    """A save or a restore that waits for the other process says what it says of a bad disk or a damaged step."""
    try:
        try:
            raise RuntimeError("UNAVAILABLE: Gloo: connection closed\nat 0x7f")
        except RuntimeError as lost:
            raise wrapped(lost) from lost
    except Exception as error:
        told = multihost._told(error)
    assert told.startswith("process 0 of 1: another process has ended or cannot be reached (RuntimeError: UNAVAILABLE: Gloo")
    assert "\n" not in told
    assert multihost._told(OSError(28, "No space left", "/a")) == "process 0 of 1: OSError: [Errno 28] No space left: '/a'"
    assert multihost._told(RuntimeError("out of memory")) == "process 0 of 1: RuntimeError: out of memory"
    assert multihost._told(UserError("bad")) == "process 0 of 1: bad"


def test_processes_that_do_not_do_the_same_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh.check_alike({"run folder": "new"})
    monkeypatch.setattr(mesh, "from_all", lambda content: [content, content])
    mesh.check_alike({"run folder": "new"})
    monkeypatch.setattr(mesh, "from_all", lambda content: [content, content, b'{"run folder": "unfinished"}'])
    assert_refused(lambda: mesh.check_alike({"run folder": "new"}), "run folder: new for process 0, unfinished for process 2")


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def start_both(*arguments: str, cache: Path) -> list[subprocess.Popen[str]]:
    """Two processes of two devices each."""
    address = free_address()
    return [processes.start(*arguments, f"--distributed={address},2,{index}", cache=cache, devices=2) for index in range(2)]


def test_a_port_that_is_in_use_is_told_before_jax_crashes_on_it() -> None:
    with socket.socket() as busy:
        busy.bind(("", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert_refused(lambda: multihost.join(f"127.0.0.1:{port},1,0"), f"port {port} is in use")


def test_a_single_process_that_was_told_its_place_saves_on_sigterm(tmp_path: Path, cache: Path) -> None:
    arguments = ("train", *processes.TINY, "--workdir", str(tmp_path / "run"))
    alone = processes.start(*arguments, f"--distributed={free_address()},1,0", cache=cache)
    wait_for_step(tmp_path / "run", 10, [alone])
    alone.terminate()
    out, err = alone.communicate(timeout=60)
    assert alone.returncode == 0, err
    assert "its state is saved" in out


def saved(workdir: Path) -> int:
    """The last step saved."""
    folder = workdir / "checkpoints"
    return max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0) if folder.is_dir() else 0


def wait_for_step(workdir: Path, step: int, both: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + 120
    while saved(workdir) < step:
        assert time.monotonic() < deadline
        assert not any(process.poll() is not None for process in both), [process.communicate() for process in both]
        time.sleep(0.02)


def assert_ended_well(both: list[subprocess.Popen[str]]) -> None:
    for process in both:
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err


def test_two_processes_killed_and_stopped_go_on_to_the_losses_of_one(
    folder: Path, four: dict[str, Any], tmp_path: Path, cache: Path
) -> None:
    """Begun on four devices with everything in four parts, then two processes three times, ended on one device."""
    assert four["stopped"] == "stopped"
    workdir = tmp_path / "run"
    shutil.copytree(folder / "stopped", workdir)
    assert len(records(workdir, "train")) == STOPPED_AT
    copied = ("train", *CNN, "--workdir", str(workdir))
    arguments = (*copied, *TWO_BY_TWO)
    for killed, laid in ((1, arguments), (0, copied)):  # where the first one is lost, JAX itself ends the others
        both = start_both(*laid, cache=cache)
        wait_for_step(workdir, saved(workdir) + 2, both)
        both[killed].kill()
        began = time.monotonic()
        _, err = both[1 - killed].communicate(timeout=100)
        both[killed].communicate()
        assert time.monotonic() - began < 60
        assert both[1 - killed].returncode not in (0, None)
        told = [line for line in err.splitlines() if not line.startswith(("from step", "step"))]
        assert len(told) == 1, err
        assert told[0].startswith(f"imgloc: process {1 - killed} of 2: another process has ended or cannot be reached"), err

    both = start_both(*arguments, cache=cache)
    wait_for_step(workdir, saved(workdir) + 2, both)
    both[1].send_signal(signal.SIGTERM)  # one of them is told, and both stop at the same step
    assert_ended_well(both)
    assert STOPPED_AT + 6 <= json.loads((workdir / "provenance.json").read_text())["sessions"][-1]["to_step"] < STEPS

    assert loop.train(resolved(), str(workdir), stop=StopAt(STEPS)) == "finished"  # on the one device of this process
    np.testing.assert_allclose(losses(workdir), losses(folder / "one"), atol=1e-4)
    ours, theirs = (records(run, "validation") for run in (workdir, folder / "one"))
    assert len(ours) == len(theirs) == 2
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.keys() == other.keys()
        np.testing.assert_allclose([*mine.values()][2:], [*other.values()][2:], atol=5e-3)
    provenance = json.loads((workdir / "provenance.json").read_text())
    layouts = [session.get("layout", provenance["layout"]) for session in provenance["sessions"]]
    expected = [(1, 4, 1), (2, 2, 2), (4, 1, 2), (2, 2, 2), (1, 1, 1)]
    assert [(layout["data"], layout["fsdp"], layout["processes"]) for layout in layouts] == expected


@pytest.mark.slow
@pytest.mark.parametrize("layout", [(), TWO_BY_TWO], ids=["copied", "split"])
def test_two_processes_do_all_steps_with_the_losses_of_one(layout: tuple[str, ...], folder: Path, tmp_path: Path, cache: Path) -> None:
    both = start_both("train", *CNN, "--workdir", str(tmp_path / "run"), *layout, cache=cache)
    assert_ended_well(both)
    found = losses(tmp_path / "run")
    assert len(found) == STEPS
    np.testing.assert_allclose(found, losses(folder / "one"), atol=1e-4)


def test_two_processes_evaluate_each_image_once_and_alike(folder: Path, by_tens: list[dict[str, Any]], tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(folder / "one", workdir)
    source = build.make_source(resolved().data, "train", 0)
    known = {"data": source.fingerprint, "class_counts": [1] * 10, "median_box": [0.2, 0.2, 0.8, 0.8]}
    files.write_json(workdir / "baselines.json", known)  # looking through the training split takes longer than all else here
    both = start_both("evaluate", str(workdir), cache=cache)
    told = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    said = [[line for line in out.splitlines() if not line.startswith("[Gloo]")] for out, _ in told]
    assert said[0][-1].startswith("rows: ")
    assert said[1] == []
    found = [json.loads(line) for line in (workdir / "rows" / "test.jsonl").read_text().splitlines()]
    assert_same_rows(found, sorted(by_tens, key=lambda row: str(row["id"])))
    assert set(json.loads((workdir / "results.json").read_text())) == {"test", "test/whole_image", "test/median_box"}
    assert len(list((workdir / "thumbnails" / "test").iterdir())) > 30
