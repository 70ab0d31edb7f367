"""Cores and GPUs of jobs that run at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from imgloc.sweeps import shares as module
from imgloc.sweeps.shares import Share, shares
from tests.refusals import assert_refused

CORES = frozenset(range(4, 12))


def test_cores_are_divided_only_where_their_number_is_given() -> None:
    assert {share.cores for share in shares(3, cores=CORES, gpus=())} == {frozenset()}
    own = [share.cores for share in shares(3, 2, CORES, ())]
    assert [len(cores) for cores in own] == [2, 2, 2]
    assert len(frozenset().union(*own)) == 6
    assert frozenset().union(*own) <= CORES
    assert_refused(lambda: shares(3, 3, CORES, ()), "needs 9 cores, and this process has 8")


def test_gpus_are_divided_and_shared_where_there_are_fewer_than_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)

    def environments(jobs: int, *gpus: str) -> list[dict[str, str]]:
        return [dict(share.environment) for share in shares(jobs, 0, CORES, gpus)]

    assert environments(1, "0", "1") == [{}]
    assert environments(2, "0", "1", "2") == [{"CUDA_VISIBLE_DEVICES": "0,2"}, {"CUDA_VISIBLE_DEVICES": "1"}]
    shared, fraction = environments(3, "5", "7"), "XLA_PYTHON_CLIENT_MEM_FRACTION"
    assert [each["CUDA_VISIBLE_DEVICES"] for each in shared] == ["5", "7", "5"]
    assert [each.get(fraction) for each in shared] == ["0.450", None, "0.450"]


def test_the_gpus_are_those_that_jax_would_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert module.usable_gpus(tmp_path) == ("0", "2", "10")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-ab")
    assert module.usable_gpus(tmp_path) == ("3", "GPU-ab")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert module.usable_gpus(tmp_path) == ()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert module.usable_gpus(tmp_path) == ()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not restrict processes to cores")
def test_processes_of_a_thread_have_its_cores_and_other_threads_keep_theirs() -> None:
    before, seen = os.sched_getaffinity(0), []
    core = min(before)

    def work() -> None:
        Share(frozenset({core})).apply_to_this_thread()
        code = "import os; print(sorted(os.sched_getaffinity(0)))"
        seen.append(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [f"[{core}]"]
    assert os.sched_getaffinity(0) == before
