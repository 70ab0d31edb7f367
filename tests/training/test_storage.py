"""Full disks, read-only folders and limits: one line with the problem, the place and the remedy; saved files stay intact."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import imgloc
from imgloc.cli import main
from imgloc.errors import storage_message
from imgloc.inference.bundle import write_bundle
from imgloc.runs import run_dir
from imgloc.runs.metrics_log import read_metrics
from imgloc.training import checkpoint
from imgloc.training.metric_writer import MetricWriter
from tests import processes
from tests.training.test_resume import assert_same_bits, step_saved


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A separate file system of 8 MiB; skips where this process may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount here: {error}")
    if done.returncode:
        pytest.skip(f"this process may not mount a file system: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all free space."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return ballast
    raise AssertionError("the disk never fills up")


def assert_one_line(text: str, *contains: str) -> None:
    assert len(text.splitlines()) == 1, text
    for part in contains:
        assert part in text


def test_a_full_disk_ends_training_with_one_line_and_the_run_resumes_when_there_is_room(
    disk: Path, tmp_path: Path, tiny_run: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workdir = disk / "run"
    process = processes.start("train", *processes.TINY, "--workdir", str(workdir), cache=cache)
    deadline = time.monotonic() + 120
    while not step_saved(workdir, 20)():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    while process.poll() is None and time.monotonic() < deadline:  # again and again: removing an older checkpoint makes room
        ballast = fill(disk)
        time.sleep(0.005)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "Traceback" not in err
    assert "Exception" not in err
    last = err.splitlines()[-1]
    assert str(workdir) in last
    assert "No space left on device; free some space there; then the same command resumes" in last

    full = main.main(["evaluate", str(workdir)]), main.main(["report", str(tiny_run), "--out", str(disk / "report.html")])
    assert full == (2, 2)
    for line in capsys.readouterr().err.splitlines():
        assert_one_line(line, "cannot write", str(disk), "No space left on device; free some space")
    with checkpoint.open_manager(run_dir.RunDir(workdir).checkpoints, read_only=True) as manager:
        assert manager.latest_step() in (20, 30, 40, 50)  # whole checkpoints only
    assert len(imgloc.load(workdir).predict(np.zeros((64, 64), np.uint8))) == 1

    ballast.unlink()
    processes.run("train", *processes.TINY, "--workdir", str(workdir), cache=cache)
    assert_same_bits(workdir, tiny_run)


def test_a_disk_that_is_full_at_the_start_is_refused(disk: Path, cache: Path) -> None:
    fill(disk)
    done = processes.run("train", *processes.TINY, "--workdir", str(disk / "run"), cache=cache, code=2)
    assert_one_line(done.stderr, "--workdir: cannot write", "No space left on device; free some space there")


def test_a_read_only_folder_is_refused_for_writing_and_can_be_read(
    disk: Path, evaluated_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file system is read-only, because root ignores permissions."""
    finished, unfinished = disk / "finished", disk / "unfinished"
    for folder in (finished, unfinished):
        shutil.copytree(evaluated_run, folder, ignore=shutil.ignore_patterns("thumbnails"))
    (unfinished / "finished.json").unlink()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    commands = [
        ["train", *processes.TINY, "--workdir", str(disk / "new")],
        ["train", *processes.TINY, "--workdir", str(unfinished)],
        ["evaluate", str(finished)],
        ["report", str(finished)],
        ["locate", str(finished), "picture.png", "--out", str(disk / "out")],
    ]
    for command in commands:
        assert main.main(command) == 2, command
        assert_one_line(capsys.readouterr().err, "cannot write", str(disk), "Read-only file system; choose a folder")
    assert sorted(path.name for path in disk.iterdir()) == ["finished", "unfinished"]
    _, config = run_dir.open_run(str(finished))
    arrays = {"params": {"a": np.zeros(3)}}
    with pytest.raises(OSError, match="Read-only file system") as caught:
        write_bundle(finished / "model", config, classes=("0",), channels=1, step=60, variables=arrays, calibration={})
    assert_one_line(
        storage_message(caught.value), f"cannot write '{finished / 'model'}", "choose a folder on a file system that is not read-only"
    )

    assert main.main(["train", *processes.TINY, "--workdir", str(finished)]) == 0
    assert "finished" in capsys.readouterr().out
    assert main.main(["report", str(finished), "--out", str(tmp_path / "report.html")]) == 0
    assert imgloc.load(finished).classes == tuple("0123456789")


@pytest.mark.parametrize(("larger", "place"), [(("--config.model.hidden=48",), "model/variables.safetensors"), ((), "checkpoints")])
def test_a_model_or_checkpoint_that_cannot_be_written_is_one_line_and_does_not_count(
    larger: tuple[str, ...], place: str, tmp_path: Path, tiny_run: Path, cache: Path
) -> None:
    """A limit on the size of files needs no rights: 32 KiB is less than the larger model, and than most checkpoints of the other."""
    workdir = tmp_path / "run"
    command = [sys.executable, "-m", "imgloc", "train", *processes.TINY, *larger, "--workdir", str(workdir)]
    done = subprocess.run(
        ["bash", "-c", 'ulimit -f 32; exec "$@"', "bash", *command],
        cwd=processes.ROOT, env=processes.environment(cache), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large; raise the limit on the size of files" in done.stderr.splitlines()[-1]
    assert str(workdir / place) in done.stderr.splitlines()[-1]
    assert not (workdir / "finished.json").exists()
    processes.run("train", *processes.TINY, *larger, "--workdir", str(workdir), cache=cache)
    if larger:
        assert imgloc.load(workdir).classes == tuple("0123456789")
    else:
        assert_same_bits(workdir, tiny_run)


def test_a_log_that_cannot_be_written_names_its_file_and_is_whole_after_reopening(tmp_path: Path) -> None:
    run = run_dir.RunDir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(OSError, match=str(tmp_path)) as caught, MetricWriter(run, 0) as writer:  # noqa: PT012
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
            for step in range(1, 100):
                writer.add(step, "train", {"loss": 1.0})
            writer.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.strerror == "File too large"
    written = len(read_metrics(run.metrics))
    assert 10 < written < 99
    with MetricWriter(run, written - 1) as writer:
        writer.add(written, "train", {"loss": 2.0})
    assert [record["step"] for record in read_metrics(run.metrics)] == list(range(1, written + 1))
    assert len(list(run.events.iterdir())) == 1


def test_output_that_cannot_be_written_is_one_line(evaluated_run: Path, tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "imgloc", "report", str(evaluated_run), "--out", str(tmp_path / "report.html")],
            cwd=processes.ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert_one_line(done.stderr, "imgloc report: cannot write", "No space left on device")
