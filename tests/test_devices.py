"""Several devices, faked on the CPU, and several processes on loopback, give what one device gives."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import numpy as np
import pytest

from tests import processes

CNN = (
    "--config=configs/digits_cnn.py",
    "--config.model.stem=(4, 8)",
    "--config.model.middle=8",
    "--config.model.deep=8",
    "--config.model.look=(4, 8, 8)",
    "--config.model.hidden=16",
    "--config.train.batch_size=16",
    "--config.train.steps=20",
    "--config.train.log_every=1",
    "--config.train.eval_every=20",
)


def losses(workdir: Path) -> np.ndarray:
    records = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return np.array([record["loss"] for record in records if record["kind"] == "train"])


@pytest.fixture(scope="module")
def one_device(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> np.ndarray:
    workdir = tmp_path_factory.mktemp("one") / "run"
    processes.run("train", *CNN, "--workdir", str(workdir), cache=cache)
    return losses(workdir)


def test_four_devices_give_the_losses_of_one(one_device: np.ndarray, tmp_path: Path, cache: Path) -> None:
    processes.run("train", *CNN, "--workdir", str(tmp_path / "run"), cache=cache, devices=4)
    assert len(json.loads((tmp_path / "run" / "provenance.json").read_text())["devices"]) == 4
    four = losses(tmp_path / "run")
    assert len(four) == 20
    np.testing.assert_allclose(four, one_device, atol=1e-4)
    assert np.abs(np.diff(one_device)).max() > 1e-2  # the losses move, so that 1e-4 is a tight bar


def test_two_processes_give_the_losses_of_one(one_device: np.ndarray, tmp_path: Path, cache: Path) -> None:
    address = free_address()
    both = [
        processes.start(
            "train", *CNN, "--workdir", str(tmp_path / "run"), f"--distributed={address},2,{index}", cache=cache, devices=2
        )
        for index in range(2)
    ]  # fmt: skip
    for process in both:
        _, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
    np.testing.assert_allclose(losses(tmp_path / "run"), one_device, atol=1e-4)


def test_two_processes_stop_together_on_sigterm_and_one_goes_on(one_device: np.ndarray, tmp_path: Path, cache: Path) -> None:
    workdir, address = tmp_path / "run", free_address()
    slow = (*CNN, "--config.train.save_every=1")
    arguments = ("train", *slow, "--workdir", str(workdir))
    both = [processes.start(*arguments, f"--distributed={address},2,{index}", cache=cache, devices=2) for index in range(2)]
    deadline = time.monotonic() + 120
    while not (workdir / "checkpoints" / "2").exists():
        assert time.monotonic() < deadline
        assert [process.poll() for process in both] == [None, None]
        time.sleep(0.02)
    both[1].send_signal(signal.SIGTERM)  # one of them is told
    for process in both:
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0, err
    assert 2 <= json.loads((workdir / "provenance.json").read_text())["sessions"][-1]["to_step"] < 20
    processes.run(*arguments, cache=cache)
    np.testing.assert_allclose(losses(workdir), one_device, atol=1e-4)


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_batch_that_devices_do_not_divide_is_refused(tmp_path: Path, cache: Path) -> None:
    done = processes.run(
        "train", *CNN, "--config.train.batch_size=18", "--workdir", str(tmp_path / "run"), cache=cache, devices=4, code=2
    )
    assert "train.batch_size 18 is not divisible by 4 devices" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()
