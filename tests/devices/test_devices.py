"""Several CPU devices, and several processes on loopback, give the results of one device."""

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
from imgloc.evaluation.predictors import fit_baselines
from imgloc.runs.metrics_log import read_metrics
from imgloc.runs.prediction_table import read_rows
from imgloc.training import loop
from imgloc.types import Row, Truth
from tests import processes
from tests.refusals import assert_refused
from tests.several_devices import CNN, STEPS, STOPPED_AT, StopAt, resolved, rows

TWO_BY_TWO = ("--config.devices.fsdp=2",)


def records(workdir: Path, kind: str) -> list[dict[str, Any]]:
    return [record for record in read_metrics(workdir / "metrics.jsonl") if record["kind"] == kind]


def losses(workdir: Path) -> np.ndarray:
    """The losses of all steps, each of which is logged once."""
    steps = records(workdir, "train")
    assert [record["step"] for record in steps] == list(range(1, STEPS + 1))
    return np.array([record["loss"] for record in steps])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `one`, a run trained on the one device of this process."""
    folder = tmp_path_factory.mktemp("devices")
    assert loop.train(resolved(), str(folder / "one"), stop=StopAt(STEPS + 1)) == "finished"
    assert np.abs(np.diff(losses(folder / "one"))).max() > 1e-2  # the losses change, so that 1e-4 is a strict tolerance
    return folder


@pytest.fixture(scope="module")
def four(folder: Path, cache: Path) -> dict[str, Any]:
    """The results of a process with four devices, which leaves the run `stopped` in the folder."""
    command = [sys.executable, "-m", "tests.several_devices", str(folder)]
    environment = processes.environment(cache, devices=4)
    done = subprocess.run(command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


@pytest.mark.parametrize("layout", ["replicated", "sharded"])
def test_four_devices_give_the_losses_of_one(layout: str, folder: Path, four: dict[str, Any]) -> None:
    np.testing.assert_allclose(four[layout]["losses"], losses(folder / "one"), atol=1e-4)


def test_a_sharded_state_takes_less_memory(four: dict[str, Any]) -> None:
    replicated, sharded = four["replicated"], four["sharded"]
    assert set(replicated["parts"].values()) == {1}
    assert set(sharded["parts"].values()) == {1, 4}
    assert sharded["all_bytes"] == replicated["all_bytes"] == replicated["bytes"]
    sharded_names = {name for name, count in sharded["parts"].items() if count == 4}
    assert {name.split("/")[0] for name in sharded_names} == {"params", "opt_state", "ema"}, sharded_names
    assert sharded["bytes"] < sharded["all_bytes"] * 0.4
    # The memory of the compiled step: of its arguments, and its peak.
    saved = sharded["all_bytes"] - sharded["bytes"]
    assert replicated["arguments"] - sharded["arguments"] == pytest.approx(saved, rel=0.05)
    assert sharded["peak"] < replicated["peak"] - saved / 2


def test_the_longest_divisible_axis_is_split_and_small_arrays_are_replicated() -> None:
    devices = jax.sharding.AbstractMesh((2, 4), mesh.AXES)

    def spec(*shape: int) -> tuple[Any, ...]:
        return tuple(mesh.parameter_sharding(shape, devices).spec)

    assert spec(3, 3, 64, 128) == (None, None, None, "fsdp")
    assert spec(512, 128) == ("fsdp",)
    assert spec(512, 512) == (None, "fsdp")
    assert spec(4 * mesh.MIN_SHARDED_SIZE + 1, 8) == (None, "fsdp")  # the longest axis is not divisible
    assert spec(mesh.MIN_SHARDED_SIZE + 1) == spec(63, 65) == spec(mesh.MIN_SHARDED_SIZE // 2) == spec() == ()
    assert spec(mesh.MIN_SHARDED_SIZE) == ("fsdp",)


def test_a_mesh_of_another_size_than_the_number_of_devices_is_refused() -> None:
    def make(count: int, data: int, fsdp: int) -> Callable[[], Any]:
        return lambda: mesh.make_mesh([jax.devices()[0]] * count, data=data, fsdp=fsdp)

    assert_refused(make(4, -1, 3), "data -1 x fsdp 3", "4 device(s)", "fsdp one of 1, 2, 4")
    assert_refused(make(4, 2, 1), "data 2 x fsdp 1")
    assert_refused(make(4, 8, -1), "data 8 x fsdp -1")
    assert_refused(make(4, -1, -1), "-1")
    assert_refused(make(4, 0, 1), "data 0")
    assert dict(mesh.make_mesh(data=-1, fsdp=1).shape) == {"data": 1, "fsdp": 1}


def assert_same_rows(actual: list[Row], expected: list[Row]) -> None:
    assert len(actual) == len(expected) == 2000
    for column in ("id", "group", "label", "boxes", "labels", "split"):
        assert [row[column] for row in actual] == [row[column] for row in expected]
    for column in ("pred_box", "top_scores"):
        np.testing.assert_allclose([row[column] for row in actual], [row[column] for row in expected], atol=1e-5)
    assert np.ptp([row["pred_box"] for row in actual], axis=0).min() > 1e-3  # the predictions differ between images


@pytest.fixture(scope="module")
def expected_rows(folder: Path) -> list[Row]:
    """The rows of 2,000 images in batches of ten on one device."""
    return rows(folder / "one", fsdp=1, batch_size=10)


@pytest.mark.parametrize("layout", ["fsdp 1", "fsdp 4"])
def test_four_devices_evaluate_each_image_once(layout: str, four: dict[str, Any], expected_rows: list[Row]) -> None:
    assert_same_rows(four["rows"][layout], expected_rows)


def test_a_batch_size_that_is_not_divisible_is_refused(folder: Path, four: dict[str, Any]) -> None:
    assert four["indivisible"]["code"] == 2
    assert "train.batch_size 18 is not divisible by 4 devices" in four["indivisible"]["err"]
    assert len(four["indivisible"]["err"].splitlines()) == 1
    assert not (folder / "no").exists()


@pytest.mark.parametrize("wrap", [lambda lost: lost, lambda lost: OSError(f"/a/checkpoints: {lost}"), lambda lost: UserError("damaged")])
def test_a_lost_process_is_reported_through_any_error(wrap: Callable[[Exception], Exception]) -> None:
    """A save or a restore that waits for the lost process raises the error of a bad disk or a damaged checkpoint."""
    try:
        try:
            raise RuntimeError("UNAVAILABLE: Gloo: connection closed\nat 0x7f")
        except RuntimeError as lost:
            raise wrap(lost) from lost
    except Exception as error:
        message = multihost._message(error)
    assert message.startswith("process 0 of 1: another process has ended or cannot be reached (RuntimeError: UNAVAILABLE: Gloo")
    assert "\n" not in message
    assert multihost._message(OSError(28, "No space left", "/a")) == "process 0 of 1: OSError: [Errno 28] No space left: '/a'"
    assert multihost._message(RuntimeError("out of memory")) == "process 0 of 1: RuntimeError: out of memory"
    assert multihost._message(UserError("bad")) == "process 0 of 1: bad"


def test_processes_with_different_facts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gather = mesh.gather_bytes.__name__
    mesh.check_same_on_all_processes({"run folder": "new"})
    monkeypatch.setattr(mesh, gather, lambda content: [content, content])
    mesh.check_same_on_all_processes({"run folder": "new"})
    monkeypatch.setattr(mesh, gather, lambda content: [content, content, b'{"run folder": "unfinished"}'])
    assert_refused(
        lambda: mesh.check_same_on_all_processes({"run folder": "new"}), "run folder must be", "new for process 0, unfinished for process 2"
    )


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def start_both(*arguments: str, cache: Path) -> list[subprocess.Popen[str]]:
    """Two processes of two devices each."""
    address = free_address()
    return [processes.start(*arguments, f"--distributed={address},2,{index}", cache=cache, devices=2) for index in range(2)]


def test_a_port_in_use_is_refused_before_jax_crashes_on_it() -> None:
    with socket.socket() as busy:
        busy.bind(("", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert_refused(lambda: multihost.connect_processes(f"127.0.0.1:{port},1,0"), f"port {port} is in use")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_waits_for_the_others_obeys_a_signal(number: signal.Signals, tmp_path: Path, cache: Path) -> None:
    process = processes.start(
        "train", *processes.TINY, f"--distributed={free_address()},2,0", "--workdir", str(tmp_path / "run"), cache=cache
    )
    time.sleep(8)  # it starts, and then waits for process 1
    assert process.poll() is None
    process.send_signal(number)
    process.communicate(timeout=10)
    assert process.returncode == -number
    assert not (tmp_path / "run").exists()


def test_a_single_process_with_distributed_saves_on_sigterm(tmp_path: Path, cache: Path) -> None:
    arguments = ("train", *processes.TINY, "--workdir", str(tmp_path / "run"))
    alone = processes.start(*arguments, f"--distributed={free_address()},1,0", cache=cache)
    wait_for_step(tmp_path / "run", 10, [alone])
    alone.terminate()
    out, err = alone.communicate(timeout=60)
    assert alone.returncode == 0, err
    assert "its state is saved" in out


def last_saved_step(workdir: Path) -> int:
    folder = workdir / "checkpoints"
    return max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0) if folder.is_dir() else 0


def wait_for_step(workdir: Path, step: int, both: list[subprocess.Popen[str]]) -> None:
    deadline = time.monotonic() + 120
    while last_saved_step(workdir) < step:
        assert time.monotonic() < deadline
        assert not any(process.poll() is not None for process in both), [process.communicate() for process in both]
        time.sleep(0.02)


def assert_succeeded(both: list[subprocess.Popen[str]]) -> None:
    for process in both:
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err


def test_two_processes_killed_and_stopped_resume_to_the_losses_of_one(
    folder: Path, four: dict[str, Any], tmp_path: Path, cache: Path
) -> None:
    """A run begins sharded over four devices, continues in two processes three times, and ends on one device."""
    assert four["stopped"] == "stopped"
    workdir = tmp_path / "run"
    shutil.copytree(folder / "stopped", workdir)
    assert len(records(workdir, "train")) == STOPPED_AT
    replicated = ("train", *CNN, "--workdir", str(workdir))
    sharded = (*replicated, *TWO_BY_TWO)
    for killed, arguments in ((1, sharded), (0, replicated)):  # when process 0 is lost, JAX aborts the others
        both = start_both(*arguments, cache=cache)
        wait_for_step(workdir, last_saved_step(workdir) + 2, both)
        both[killed].kill()
        began = time.monotonic()
        _, err = both[1 - killed].communicate(timeout=100)
        both[killed].communicate()
        assert time.monotonic() - began < 60
        assert both[1 - killed].returncode not in (0, None)
        messages = [line for line in err.splitlines() if line and not line.startswith(("from step", "step"))]
        assert len(messages) == 1, err
        assert messages[0].startswith(f"imgloc: process {1 - killed} of 2: another process has ended or cannot be reached"), err

    both = start_both(*sharded, cache=cache)
    wait_for_step(workdir, last_saved_step(workdir) + 2, both)
    both[1].send_signal(signal.SIGTERM)  # one of them receives the signal, and both stop at the same step
    assert_succeeded(both)
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
@pytest.mark.parametrize("layout", [(), TWO_BY_TWO], ids=["replicated", "sharded"])
def test_two_processes_do_all_steps_with_the_losses_of_one(layout: tuple[str, ...], folder: Path, tmp_path: Path, cache: Path) -> None:
    both = start_both("train", *CNN, "--workdir", str(tmp_path / "run"), *layout, cache=cache)
    assert_succeeded(both)
    np.testing.assert_allclose(losses(tmp_path / "run"), losses(folder / "one"), atol=1e-4)


def test_two_processes_evaluate_each_image_once(folder: Path, expected_rows: list[Row], tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(folder / "one", workdir)
    source = build.make_source(resolved().data, "train", 0)
    box, label = np.array([[0.2, 0.2, 0.8, 0.8]], np.float32), np.zeros(1, np.int32)
    fitted = fit_baselines("localize", [Truth(box, label, 0, "a")], 10)  # reading the training split would take most of the time
    files.write_json(workdir / "baselines.json", {"data": source.fingerprint, "fitted": fitted})
    both = start_both("evaluate", str(workdir), "--allow-import=tests.small_cnn", cache=cache)
    printed = [process.communicate(timeout=200) for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    lines = [out.splitlines() for out, _ in printed]
    assert lines[0][-1].startswith("rows: ")
    assert lines[1] == []
    assert_same_rows(read_rows(workdir / "rows" / "test.jsonl", expected={}), sorted(expected_rows, key=lambda row: str(row["id"])))
    assert set(json.loads((workdir / "results.json").read_text())) == {"test", "test/whole_image", "test/median_box"}
    assert len(list((workdir / "thumbnails" / "test").iterdir())) > 30
