"""What JAX's own threads write to stderr as they end a process, told in one line. Run as a program beside the process.

Where the first process of a run is lost, JAX aborts the others from a thread of its own, with a stack trace: no Python
code runs any more that could say it better. So their stderr goes through this program, which outlives them.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator

# In the first line that JAX writes where a process is lost, by whichever thread: from or of what keeps them together, or of waiting.
BEGINS = ("coordination_service", "coordination service", "rendezvous.cc")
FATAL = "Terminating process because the JAX distributed service detected fatal errors"
TOLD = "\x1d"  # what the process itself writes where it has told its end


def filtered(lines: Iterable[str], place: str) -> Iterator[str]:
    """The lines as they are; those from the first about another process on, held back, become one line where they are the last words."""
    held: list[str] = []
    told = fatal = False
    for line in lines:
        told, fatal = told or TOLD in line, fatal or FATAL in line
        if held or fatal or any(name in line for name in BEGINS) or TOLD in line:
            held.append(line)
        else:
            yield line
    if fatal and not told:
        yield f"imgloc: {lost(place, 'JAX has ended this one')}\n"
    elif not told:
        yield from held


def lost(place: str, what: str) -> str:
    """What to say where the process at a place (`process 0 of 2`) ends because another has."""
    next_step = "start all of them again; training goes on from its last checkpoint"
    return f"{place}: another process has ended or cannot be reached ({what}); {next_step}"


def main() -> None:
    """From stdin to stderr until the process has ended."""
    for number in (signal.SIGTERM, signal.SIGINT):  # they are meant for the process
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
    for line in filtered(sys.stdin, sys.argv[1]):
        sys.stderr.write(line)
        sys.stderr.flush()


if __name__ == "__main__":
    main()
