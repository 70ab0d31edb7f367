"""The cores and GPUs of this machine, divided between jobs that run at the same time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from imgloc.errors import UserError

MEMORY = 0.9  # share of a GPU's memory that the jobs on it reserve together


@dataclass(frozen=True)
class Share:
    """What one job uses: numbers of cores (empty: all), and environment variables for its processes."""

    cores: frozenset[int] = frozenset()
    environment: Mapping[str, str] = field(default_factory=dict)

    def apply_to_this_thread(self) -> None:
        """Restrict this thread, and the processes that it starts, to the cores."""
        if self.cores:
            os.sched_setaffinity(0, self.cores)


def shares(jobs: int, cores_each: int = 0, cores: frozenset[int] | None = None, gpus: tuple[str, ...] | None = None) -> list[Share]:
    """Return the share of each job, of `cores` and `gpus`; by default of those that this process may use.

    Each job has `cores_each` cores of its own; 0: all jobs use all cores. The number is not derived from the number of jobs, because
    it changes the last bits of results (XLA divides sums by it). With more jobs than GPUs, several jobs have the same GPU, and divide
    its memory. Raises UserError for too few cores.
    """
    free = sorted(usable_cores() if cores is None else cores)
    if jobs * cores_each > len(free):
        raise UserError(f"--jobs {jobs} with cores={cores_each} each needs {jobs * cores_each} cores, and this process has {len(free)}")
    gpus = usable_gpus() if gpus is None else gpus
    return [Share(frozenset(free[k * cores_each : (k + 1) * cores_each]), _gpu_variables(gpus, k, jobs)) for k in range(jobs)]


def _gpu_variables(gpus: tuple[str, ...], k: int, jobs: int) -> dict[str, str]:
    if not gpus or jobs == 1:
        return {}
    own = gpus[k::jobs] or (gpus[k % len(gpus)],)
    together = sum(j % len(gpus) == k % len(gpus) for j in range(jobs)) if jobs > len(gpus) else 1
    variables = {"CUDA_VISIBLE_DEVICES": ",".join(own)}
    if together > 1 and "XLA_PYTHON_CLIENT_PREALLOCATE" not in os.environ:
        variables["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{MEMORY / together:.3f}"
    return variables


def usable_cores() -> frozenset[int]:
    """Return the numbers of the cores that this process may use; empty where the system does not restrict processes to cores."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def usable_gpus(devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Return the NVIDIA GPUs that JAX would use, as CUDA_VISIBLE_DEVICES names them. JAX is not started, as it would reserve them."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu"} & set(platforms.split(",")):
        return ()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name for name in named.split(",") if name and name != "-1")
    numbers = (path.name.removeprefix("nvidia") for path in devices.glob("nvidia[0-9]*"))
    return tuple(sorted(filter(str.isdigit, numbers), key=int))
