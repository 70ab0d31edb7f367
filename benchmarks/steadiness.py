"""Whether times may be compared: how much other programs computed meanwhile, and how much the times differ between processes."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

BUSY = 0.15  # of this process's cores: above it, other programs take part of the time
SPREAD = 1 / 3  # of the median, between the lowest and the highest of several processes
STAT = Path("/proc/stat")


def unsteady(medians_ms: Sequence[float], median_ms: float, other_shares: Sequence[float]) -> str:
    """Returns why times of several processes may not be compared, or "".

    `other_shares`: for each process, the share of the cores that other programs used meanwhile.
    """
    share = max(other_shares, default=0.0)
    if share > BUSY:
        return f"busy: {share:.0%}"
    spread = (max(medians_ms) - min(medians_ms)) / median_ms
    return f"spread: {spread:.0%}" if spread > SPREAD else ""


@contextmanager
def watch_others() -> Iterator[list[float]]:
    """Yields a list that, at the end, has the share of this process's cores that programs other than it and its children used.

    Children count when they have ended. The list is empty where /proc/stat does not exist.
    """
    found: list[float] = []
    cores = sorted(os.sched_getaffinity(0)) if STAT.exists() else []
    began, busy, own = time.perf_counter(), _busy_seconds(cores), _own_seconds()
    yield found
    elapsed = time.perf_counter() - began
    if cores and elapsed > 0:
        others = _busy_seconds(cores) - busy - (_own_seconds() - own)
        found.append(round(max(others, 0.0) / elapsed / len(cores), 4))


def _busy_seconds(cores: Sequence[int]) -> float:
    """Returns the seconds that these cores have computed since the start of the system (proc(5): user, nice, system, irq, softirq)."""
    if not cores:
        return 0.0
    lines = {line.split()[0]: line.split()[1:] for line in STAT.read_text().splitlines() if line.startswith("cpu")}
    counted = [lines[f"cpu{core}"] for core in cores]
    return sum(int(fields[i]) for fields in counted for i in (0, 1, 2, 5, 6)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
