"""Every executor, and sweeps that are disturbed: killed, shared, on nodes that are removed, in jobs that are preempted."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from imgloc.config import registry
from imgloc.config.registry import declared
from imgloc.runs.run_dir import RunDir
from imgloc.sweeps.executor import Executor, open_execution, read_options
from imgloc.sweeps.executors import ray as ray_executor
from imgloc.sweeps.executors import slurm as slurm_executor
from imgloc.sweeps.progress import latest_step
from tests import processes
from tests.refusals import assert_refused
from tests.sweeps import slurm_cluster

RECIPE, TWELVE = "tests/sweeps/recipe.py", "tests/sweeps/twelve.py"
NAMES = registry.names("sweeps.executors")


@pytest.mark.parametrize("name", NAMES)
def test_an_executor_is_declared_and_has_its_options(name: str) -> None:
    executor = declared("sweeps.executors", name, Executor)
    assert executor.meaning
    assert_refused(lambda: read_options(executor, name, ["cpus"]), "--option must be KEY=VALUE, got 'cpus'")
    for key in executor.options:
        assert read_options(executor, name, [f"{key}=a=b"]) == {key: "a=b"}
    if "*" not in executor.options:
        assert_refused(lambda: read_options(executor, name, ["none=1"]), f"unknown option of the executor {name} 'none'")


def test_jobs_and_options_are_refused_in_one_line() -> None:
    assert_refused(lambda: open_execution("proceses", None, []), "did you mean 'processes'?")
    assert_refused(lambda: open_execution("processes", 0, []), "--jobs must be at least 1, got 0")
    assert_refused(lambda: open_execution("in_process", 2, []), "runs one job at a time, got --jobs 2")
    assert_refused(lambda: open_execution("processes", 1, ["cores=no"]), "must be a whole number of at least 1")
    assert_refused(lambda: open_execution("in_process", 1, ["population=0"]), "population must be a whole number of at least 1")
    assert_refused(lambda: open_execution("in_process", 1, ["population=x"]), "population must be a whole number of at least 1")
    assert_refused(lambda: open_execution("processes", 1, ["cores=10000"]), "needs 10000 cores")
    assert open_execution("processes", 4, ["cores=1"] if (os.cpu_count() or 1) >= 4 else []).jobs == 4


def test_executors_of_packages_that_are_missing_name_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda *_: None)
    for name in ("ray", "slurm"):
        assert_refused(lambda name=name: open_execution(name, None, []), f"pip install 'imgloc[{name}]'")


def test_the_parameters_of_slurm_jobs() -> None:
    parameters = slurm_executor.parameters({"partition": "gpu", "time": "90", "mem": "8GB"})
    assert (parameters["partition"], parameters["time"], parameters["mem"]) == ("gpu", 90, "8GB")


def test_jobs_on_other_machines_say_why_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    job = slurm_executor.SlurmJob("7", slurm_executor.Queue(), "runs/.sweep/slurm/7_0_log.err")
    assert job.details() == "see 'runs/.sweep/slurm/7_0_log.err'"
    answers = iter([RuntimeError("the node died\nat night"), None])

    def get(reference: str, timeout: float) -> None:
        error = next(answers)
        if error is not None:
            raise error

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get=get))
    task = ray_executor.RayJob("reference")
    assert [task.details(), task.details()] == ["RuntimeError: the node died", "its task has no error"]


# The tests from here on take minutes.


def sweep_process(workdir: Path, cache: Path, *arguments: str, recipe: str = RECIPE, variables: dict[str, str] | None = None) -> Any:
    environment = {**processes.environment(cache), **(variables or {}), "IMGLOC_TEST": str(workdir)}
    command = [sys.executable, "-m", "imgloc", "sweep", "--config", recipe, "--workdir", str(workdir), *arguments]
    return subprocess.Popen(command, cwd=processes.ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: Any, seconds: float = 3000) -> tuple[str, str]:
    out, err = process.communicate(timeout=seconds)
    assert process.returncode == 0, f"{process.returncode}\n{out}\n{err}"
    return out, err


def wait_for(condition: Callable[[], Any], process: Any, seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return value


def processes_of(workdir: Path) -> list[int]:
    """The running processes of a sweep in this folder."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"IMGLOC_TEST={workdir}".encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
    return found


def results_of(workdir: Path) -> dict[str, bytes]:
    return {str(path.relative_to(workdir)): path.read_bytes() for path in [*workdir.glob("*/results.json"), workdir / "sweep.json"]}


def saved(workdir: Path) -> int:
    """The checkpoints that the points of TWELVE have reached, of 4 each."""
    return sum(max(0, latest_step(RunDir(path.parent))) // 20 for path in workdir.glob("*/checkpoints"))


def sessions_of(workdir: Path) -> dict[str, list[int]]:
    """The steps from which each point was trained."""
    files = workdir.glob("*/provenance.json")
    return {path.parent.name: [each["from_step"] for each in json.loads(path.read_text())["sessions"]] for path in files}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    workdir = tmp_path_factory.mktemp("sweeps") / "three"
    ended(sweep_process(workdir, cache, "--executor", "in_process"))
    return workdir


@pytest.fixture(scope="module")
def twelve(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    workdir = tmp_path_factory.mktemp("sweeps") / "twelve"
    ended(sweep_process(workdir, cache, "--executor", "in_process", recipe=TWELVE))
    return workdir


@pytest.mark.slow
def test_twelve_points_killed_at_five_random_times_give_the_same_results(twelve: Path, tmp_path: Path, cache: Path) -> None:
    """By turns one process and two jobs, and by turns the sweep alone or all of its processes are killed; two sweeps at once finish it."""
    workdir, dice = tmp_path / "sweep", random.Random(0)
    for number in range(5):
        how = ["--jobs", "2"] if number % 2 else ["--executor", "in_process"]
        process, before, saves = sweep_process(workdir, cache, *how, recipe=TWELVE), saved(workdir), dice.randint(1, 7)
        wait_for(lambda before=before, saves=saves: saved(workdir) >= before + saves, process, 900)
        time.sleep(dice.uniform(0, 3))
        victims = [process.pid] if number > 2 else processes_of(workdir)
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()
        print(
            f"kill {number + 1} of {' '.join(how)}: {len(victims)} processes; checkpoints {before} before, {saved(workdir)} now", flush=True
        )
    assert not (workdir / "sweep.json").exists()
    for process in [sweep_process(workdir, cache, "--executor", "in_process", recipe=TWELVE) for _ in range(2)]:
        out, _ = ended(process)
        assert "12 of 12 points finished" in out
    assert results_of(workdir) == results_of(twelve)
    assert sorted(sessions_of(workdir)) == sorted(sessions_of(twelve))
    assert max(len(steps) for steps in sessions_of(workdir).values()) > 1  # some point was killed and resumed
    assert not processes_of(workdir)


@pytest.mark.slow
def test_two_sweeps_at_once_train_and_score_each_point_once(three: Path, tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "sweep"
    for process in [sweep_process(workdir, cache, "--jobs", "2"), sweep_process(workdir, cache, "--executor", "in_process")]:
        ended(process)
    assert results_of(workdir) == results_of(three)
    assert set(map(tuple, sessions_of(workdir).values())) == {(0,)}
    logs = [path.read_text() for path in (workdir / ".sweep").glob("*.log")]
    assert [sum(line.startswith("$ ") for line in log.splitlines()) for log in logs] == [2, 2, 2]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[dict[str, str]]:
    if slurm_cluster.missing():
        pytest.skip(slurm_cluster.missing())
    (tmp_path / "slurm").mkdir()
    with slurm_cluster.slurm(tmp_path / "slurm") as variables:
        yield variables


@pytest.mark.slow
def test_jobs_of_slurm_are_preempted_requeued_and_canceled(three: Path, tmp_path: Path, cache: Path, cluster: dict[str, str]) -> None:
    """One job is preempted by its signal, one is put back into the queue by an administrator, one is canceled."""
    workdir, environment = tmp_path / "sweep", {**os.environ, **cluster}

    def call(*command: str) -> str:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    def job_in_training(seed: int) -> str:
        """The job that trains a point, once it has a checkpoint."""
        if not list(workdir.glob(f"lr=0.01,seed={seed}/checkpoints/50")) or (workdir / f"lr=0.01,seed={seed}" / "finished.json").exists():
            return ""
        (identity,) = [json.loads(path.read_text())["config"] for path in workdir.glob(f"lr=0.01,seed={seed}/provenance.json")]
        holder = json.loads(max((workdir / ".sweep").glob(f"{identity}.claim.*")).read_text())
        job = Path(f"/proc/{holder['pid']}/environ").read_bytes().split(b"\0")
        return next(variable.decode().partition("=")[2] for variable in job if variable.startswith(b"SLURM_JOB_ID="))

    process = sweep_process(workdir, cache, "--executor", "slurm", "--option", "time=20", variables=cluster)
    for seed, command in enumerate((["scancel", "--signal=USR2"], ["scontrol", "requeue"], ["scancel"])):
        call(*command, wait_for(lambda seed=seed: job_in_training(seed), process))
    out, _ = ended(process)
    assert "3 of 3 points finished" in out
    assert results_of(workdir) == results_of(three)
    sessions = sessions_of(workdir)
    print(f"sessions {sessions}")
    assert all(len(steps) > 1 for steps in sessions.values())  # each was interrupted and resumed
    assert all(steps[1] >= 50 for steps in sessions.values())
    assert "PREEMPT" not in call("squeue")


@pytest.mark.slow
def test_slurm_refuses_a_partition_that_does_not_exist(tmp_path: Path, cache: Path, cluster: dict[str, str]) -> None:
    process = sweep_process(tmp_path / "sweep", cache, "--executor", "slurm", "--option", "partition=none", variables=cluster)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "Slurm refuses the job" in err


@pytest.fixture
def two_nodes() -> Iterator[tuple[Any, Any]]:
    """A Ray cluster and its second node, on this machine."""
    services = pytest.importorskip("ray._private.services", reason="Ray is not installed")
    from ray.cluster_utils import Cluster

    get_node, deadline = services.get_node, time.monotonic() + 400

    def get_node_in_time(*arguments: Any) -> Any:
        """Ray waits 30 seconds for a node to start, which a busy machine exceeds."""
        while True:
            try:
                return get_node(*arguments)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "get_node", get_node_in_time)
        cluster = Cluster(initialize_head=False)
        try:
            cluster.add_node(num_cpus=1, include_dashboard=False, wait=False)
            yield cluster, cluster.add_node(num_cpus=1, wait=False)
        finally:
            cluster.shutdown()


@pytest.mark.slow
def test_a_node_of_a_ray_cluster_is_removed_while_it_works(three: Path, tmp_path: Path, cache: Path, two_nodes: Any) -> None:
    (cluster, node), workdir = two_nodes, tmp_path / "sweep"
    process = sweep_process(workdir, cache, "--executor", "ray", "--option", f"address={cluster.address}")
    wait_for(lambda: len(list(workdir.glob("*/checkpoints/50"))) >= 2, process)  # both nodes work
    cluster.remove_node(node, allow_graceful=False)
    out, _ = ended(process)
    assert "3 of 3 points finished" in out
    assert results_of(workdir) == results_of(three)
    commands = [path.read_text().count("$ imgloc") for path in (workdir / ".sweep").glob("*.log")]
    print(f"sessions {sessions_of(workdir)}, commands {commands}")
    assert max(commands) > 2  # the point of the removed node was taken up again


@pytest.mark.slow
def test_ray_on_this_machine_without_an_address(three: Path, tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    ended(sweep_process(tmp_path / "sweep", cache, "--executor", "ray", "--jobs", "2"))
    assert results_of(tmp_path / "sweep") == results_of(three)
