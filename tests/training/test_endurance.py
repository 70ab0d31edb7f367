"""Neither memory nor file handles grow over many steps with worker processes. Takes minutes: run with -m slow."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from imgloc.runs.metrics_log import read_metrics
from tests import processes

STEPS = 2000


class Sample(NamedTuple):
    """The resources of a tree of processes."""

    step: int
    resident: int  # bytes, shared pages counted once for each process
    handles: int
    threads: int


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # the process has ended
    members = [root]
    for process in members:
        members += [child for child, parent in parents.items() if parent == process]
    return members


def sample(root: int, step: int) -> Sample:
    resident = handles = threads = 0
    for process in tree(root):
        folder = Path("/proc") / str(process)
        resident += int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        handles += len(list((folder / "fd").iterdir()))
        threads += len(list((folder / "task").iterdir()))
    return Sample(step, resident, handles, threads)


@pytest.mark.slow
@pytest.mark.parametrize("saving", [False, True])
def test_neither_memory_nor_handles_grow_over_2000_steps_with_workers(saving: bool, tmp_path: Path, cache: Path) -> None:
    workdir = tmp_path / "run"
    every = (50, 500) if saving else (STEPS // 4, 0)
    often = (f"--config.train.save_every={every[0]}", f"--config.train.eval_every={every[1]}")
    arguments = (*processes.TINY, f"--config.train.steps={STEPS}", "--config.train.log_every=20", "--config.data.workers=2", *often)
    process = processes.start("train", *arguments, "--workdir", str(workdir), cache=cache)
    samples: list[Sample] = []
    while process.poll() is None:
        time.sleep(0.2)
        records = [record for record in read_metrics(workdir / "metrics.jsonl") if record["kind"] == "train"]
        events = workdir / "events"
        step = records[-1]["step"] if records else 0
        if process.poll() is None and events.is_dir():
            try:
                samples.append(sample(process.pid, step))
            except (FileNotFoundError, ProcessLookupError):
                continue  # the process ended during the sample
    _, err = process.communicate()
    assert process.returncode == 0, err
    print(*samples[:: max(1, len(samples) // 25)], sep="\n")
    print(err[-2000:])
    early = [s for s in samples if 700 <= s.step <= 1200]
    late = [s for s in samples if 1500 <= s.step < STEPS - 50]
    assert len(early) >= 5
    assert len(late) >= 5
    print(f"resident: {median(s.resident for s in early) / 2**20:.1f} then {median(s.resident for s in late) / 2**20:.1f} MiB")
    assert median(s.resident for s in late) - median(s.resident for s in early) < 8 * 2**20
    # The minimum: batches and saves in progress hold some for a moment.
    assert min(s.handles for s in late) <= min(s.handles for s in early) + 2
    assert min(s.threads for s in late) <= min(s.threads for s in early) + 2
    assert "leaked" not in err
