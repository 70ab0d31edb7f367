"""A killed and resumed run ends with the same bits as an uninterrupted one: checkpoint, models and logs. Real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

import imgloc
from imgloc.cli import main
from imgloc.errors import UserError
from imgloc.inference.bundle import read_bundle
from imgloc.runs import run_dir
from imgloc.training import checkpoint, setup
from tests import processes


def saved_states(workdir: Path) -> dict[str, np.ndarray]:
    """Every array of every checkpoint (parameters, moving averages, optimizer state) by step and path."""
    run, config = run_dir.open_run(str(workdir))
    training_setup = setup.set_up(config)
    arrays = {}
    with checkpoint.open_manager(run.checkpoints, read_only=True) as manager:
        target = jax.eval_shape(training_setup.init, config.seed)
        one = jax.sharding.SingleDeviceSharding(jax.devices()[0])
        target = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=one), target)
        for number in manager.all_steps():
            state = checkpoint.restore(manager, number, target)
            leaves = jax.tree_util.tree_leaves_with_path(state)
            arrays |= {f"{number} {jax.tree_util.keystr(path)}": np.asarray(leaf) for path, leaf in leaves}
    return arrays


def saved_models(workdir: Path) -> dict[str, tuple[int, bytes]]:
    """The step and the variables file of each bundle; the last model has its own bundle only where it is not the best one."""
    folders = [workdir / name for name in ("model", "last_model") if (workdir / name).exists()]
    return {folder.name: (read_bundle(folder).step, (folder / "variables.safetensors").read_bytes()) for folder in folders}


def assert_same_bits(workdir: Path, reference: Path) -> None:
    """The same bits in the checkpoint, in the best and in the last model, and each step once in the log with the same numbers."""
    ours, theirs = saved_states(workdir), saved_states(reference)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 50
    assert (workdir / "finished.json").read_text() == (reference / "finished.json").read_text()
    different = [name for name in ours if not np.array_equal(ours[name], theirs[name])]
    assert not different
    assert "model" in saved_models(workdir)
    assert saved_models(workdir) == saved_models(reference)
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
    """Stop a run with SIGTERM; returns the step that it saved within seconds."""
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
    """True during the first save after a step; unfinished saves of killed processes do not count."""
    folder = workdir / "checkpoints"

    def unfinished() -> set[tuple[str, int]]:
        entries = os.scandir(folder) if folder.is_dir() else ()
        return {(entry.name, entry.inode()) for entry in entries if "tmp" in entry.name and entry.name.split(".")[0] != str(step)}

    left = unfinished()
    return lambda: not unfinished() <= left


def test_a_run_killed_again_and_again_resumes_to_the_same_bits(tmp_path: Path, tiny_run: Path, cache: Path) -> None:
    """Before its first checkpoint, after it, during a save, and late: no later resume corrects an error of an earlier one."""
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
    assert event_steps(workdir) == event_steps(tiny_run)  # of TensorBoard: each step once
    assert len(event_steps(workdir)) == len(set(event_steps(workdir)))


def test_a_run_with_worker_processes_gives_the_same_bits_killed_or_not(tmp_path: Path, tiny_run: Path, cache: Path) -> None:
    workdir = tmp_path / "run"
    arguments = (*processes.TINY, "--config.data.workers=2")
    interrupt(arguments, workdir, cache, step_saved(workdir, 20), signal.SIGKILL)
    assert not (workdir / "finished.json").exists()
    deadline = time.monotonic() + 20
    while leftovers(workdir):  # workers notice within a second that their parent is gone
        assert time.monotonic() < deadline, leftovers(workdir)
        time.sleep(0.2)
    done = processes.run("train", *arguments, "--workdir", str(workdir), cache=cache)
    assert "leaked" not in done.stderr  # shared memory of the workers
    assert_same_bits(workdir, tiny_run)


def leftovers(workdir: Path) -> list[str]:
    """Processes with this test's name in their environment: those that a killed run left behind."""
    mark = f"IMGLOC_TEST={workdir}".encode()
    processes_left = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environment.read_bytes():
                processes_left.append(environment.parent.name)
        except OSError:
            continue  # the process has ended
    return processes_left


KILLED_BETWEEN_FILES = """
import os, signal, sys
from imgloc import files
from imgloc.cli import main
write_bytes = files.write_bytes

def write_or_die(path, content):
    if path.name == "bundle.json" and b'"step": 20,' in content:
        os.kill(os.getpid(), signal.SIGKILL)
    write_bytes(path, content)

files.write_bytes = write_or_die
main.main(sys.argv[1:])
"""


def test_a_kill_between_the_two_files_of_a_bundle_is_refused_and_mended_by_the_same_command(
    tmp_path: Path, tiny_run: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first validation, at step 20, writes the best model over the one of step 10."""
    workdir = tmp_path / "run"
    command = [sys.executable, "-c", KILLED_BETWEEN_FILES, "train", *processes.TINY, "--workdir", str(workdir)]
    done = subprocess.run(command, cwd=processes.ROOT, env=processes.environment(cache), capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_bundle(workdir / "model").step == 10
    with pytest.raises(UserError, match="mixes the files of two steps; copy both files of one model again, or resume the run"):
        imgloc.load(workdir)
    assert main.main(["evaluate", str(workdir)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1

    processes.train_here(*processes.TINY, workdir=workdir)
    assert_same_bits(workdir, tiny_run)
    assert imgloc.load(workdir).classes == tuple("0123456789")


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
    """The stop request of a run, which it reads between its steps, starts a second training in its folder. The comparison can fail."""
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
    refusal = f"imgloc train: another process is training in '{workdir}'; wait until it has ended, or choose another --workdir"
    assert [line for line in err.splitlines() if not line.startswith("step")] == [refusal]
    with pytest.raises(AssertionError):
        assert_same_bits(workdir, tiny_run)


def test_a_run_stopped_by_sigterm_and_by_ctrl_c_resumes_to_the_same_bits(tmp_path: Path, tiny_run: Path, cache: Path) -> None:
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

    scalars = []
    for path in sorted((workdir / "events").iterdir()):
        content = path.read_bytes()
        position = 0
        while position < len(content):  # TFRecord: length (8 bytes), its checksum (4), the record, its checksum (4)
            length = int.from_bytes(content[position : position + 8], "little")
            event = Event.FromString(content[position + 12 : position + 12 + length])
            scalars += [(value.tag, event.step) for value in event.summary.value]
            position += 16 + length
    return sorted(scalars)
