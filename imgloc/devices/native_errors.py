"""A filter of stderr that replaces the stack trace of a process that JAX aborts by one line. Runs as a program beside the process.

When the first process of a run is lost, a thread of JAX aborts the others with a stack trace, and no Python code runs any more.
So their stderr goes through this program, which outlives them. Without it, the test in tests/devices/test_devices.py that kills
process 0 of two fails.
"""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterable, Iterator

# Parts of the first line that JAX writes when a process is lost; it differs between the threads that write it.
FIRST_LINE = ("coordination_service", "coordination service", "rendezvous.cc")
FATAL = "Terminating process because the JAX distributed service detected fatal errors"
# The line for each connection. Gloo writes it in pieces, which several threads mix: a line may consist of any of them, such as a number.
CONNECTED = re.compile(r"(\[Gloo\] Rank |\d+| is connected to | ?peer ranks\. |Expected number of connected peer ranks is : )+\n?")
REPORTED = "\x1d"  # written by the process when it has reported its end itself


def filtered(lines: Iterable[str], place: str) -> Iterator[str]:
    """Yield lines until the first one about a lost process. The lines from there on are replaced by one line if JAX aborts the process.

    They are dropped if the process has reported its end itself, and yielded at the end otherwise. Lines about connections are
    always dropped. `place` is such as `process 0 of 2`.
    """
    buffered: list[str] = []
    reported = fatal = False
    for line in lines:
        if CONNECTED.fullmatch(line):
            continue
        reported, fatal = reported or REPORTED in line, fatal or FATAL in line
        if buffered or fatal or REPORTED in line or any(part in line for part in FIRST_LINE):
            buffered.append(line)
        else:
            yield line
    if fatal and not reported:
        yield f"imgloc: {lost_process(place, 'JAX aborted this one')}\n"
    elif not reported:
        yield from buffered


def lost_process(place: str, cause: str) -> str:
    """Return the message of a process that ends because another one has ended."""
    remedy = "start all of them again; training continues from its last checkpoint"
    return f"{place}: another process has ended or cannot be reached ({cause}); {remedy}"


def main() -> None:
    """Filter stdin to stderr until the process has ended."""
    for number in (signal.SIGTERM, signal.SIGINT):  # these are for the process
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    for line in filtered(sys.stdin, sys.argv[1]):
        sys.stderr.write(line)
        sys.stderr.flush()


if __name__ == "__main__":
    main()
