"""Last words of a process: those about another process become one line, all others stay."""

from __future__ import annotations

import subprocess
import sys

from imgloc.devices import native_errors
from imgloc.devices.native_errors import BEGINS, FATAL, TOLD, filtered, lost

ABORT = [
    f"E1123 {BEGINS[0]}_agent.cc:289] Polled an error\n",
    f"F1123 client.h:80] {FATAL}. This most likely\n",
    "*** stack trace: ***\n",
    "@ 0x7f\n",
]


def test_an_abort_becomes_one_line() -> None:
    found = list(filtered(["a warning\n", *ABORT], "process 1 of 2"))
    assert found == ["a warning\n", f"imgloc: {lost('process 1 of 2', 'JAX has ended this one')}\n"]
    assert list(filtered(ABORT[1:], "process 1 of 2")) == found[1:]


def test_any_of_jax_s_threads_may_be_the_first_to_say_it() -> None:
    first = "W1123 preemption_sync_manager.cc:147] Failed to retrieve preemption notice from coordination service: UNAVAILABLE\n"
    assert list(filtered([first, *ABORT], "")) == [f"imgloc: {lost('', 'JAX has ended this one')}\n"]


def test_what_the_process_itself_has_told_is_not_told_again() -> None:
    assert list(filtered(["a\n", *ABORT[:1], f"{TOLD}\n", *ABORT[1:]], "")) == ["a\n"]
    assert list(filtered([*ABORT, f"{TOLD}\n"], "")) == []


def test_without_an_abort_nothing_is_lost() -> None:
    lines = ["a\n", ABORT[0], "b\n", "c"]
    assert list(filtered(lines, "")) == lines
    assert list(filtered([], "")) == []


def test_as_a_program_it_reads_stdin_and_writes_stderr() -> None:
    program = [sys.executable, "-I", "-S", native_errors.__file__, "process 0 of 2"]
    done = subprocess.run(program, input=b"\xff plain\n" + "".join(ABORT).encode(), capture_output=True, check=True)
    assert done.stdout == b""
    first, second = done.stderr.decode().splitlines()
    assert first.endswith("plain")
    assert second.startswith("imgloc: process 0 of 2: another process")
