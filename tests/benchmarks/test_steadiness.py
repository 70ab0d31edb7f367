"""What other programs compute while something is timed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks import steadiness

STAT_EXISTS = steadiness.STAT.exists()
LOOP = "import time; end = time.time() + {}\nwhile time.time() < end: pass"


def test_times_of_steady_processes_on_a_quiet_machine_may_be_compared() -> None:
    assert steadiness.unsteady([9.0, 10.0, 12.0], 10.0, [0.0, 0.1]) == ""
    assert steadiness.unsteady([9.0, 10.0, 13.0], 10.0, []) == "spread: 40%"
    assert steadiness.unsteady([10.0], 10.0, [0.0, 0.5]) == "busy: 50%"


def test_the_time_of_this_process_and_its_children_is_not_that_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = min(os.sched_getaffinity(0))
    monkeypatch.setattr(steadiness.os, "sched_getaffinity", lambda process: {core})
    monkeypatch.setattr(steadiness, "STAT", tmp_path / "stat")
    ticks = os.sysconf("SC_CLK_TCK")

    def others_of(code: str) -> float:
        """The share of others where the core computes for half a second while the code runs."""
        (tmp_path / "stat").write_text(f"cpu{core} 0 0 0 0 0 0 0\n")
        with steadiness.watch_others() as found:
            subprocess.run([sys.executable, "-c", code], check=True)
            (tmp_path / "stat").write_text(f"cpu{core} {ticks // 2} 0 0 0 0 0 0\n")
        return found[0]

    assert others_of("import time\nwhile time.process_time() < 0.6: pass") == 0
    assert others_of("pass") > 0


@pytest.mark.skipif(not STAT_EXISTS, reason="/proc/stat exists on Linux only")
def test_children_are_not_other_programs_and_a_sibling_is() -> None:
    with steadiness.watch_others() as with_child:
        subprocess.run([sys.executable, "-c", LOOP.format(0.5)], check=True)
    other = subprocess.Popen([sys.executable, "-c", LOOP.format(60)])
    try:
        time.sleep(0.2)
        with steadiness.watch_others() as with_other:
            time.sleep(1.0)
    finally:
        other.kill()
        other.wait()
    (quiet,), (busy,) = with_child, with_other
    assert 0 <= quiet <= 1
    assert busy > 0
