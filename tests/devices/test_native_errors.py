"""The filter of stderr: lines about a lost process become one line, all others pass."""

from __future__ import annotations

import subprocess
import sys

from imgloc.devices import native_errors
from imgloc.devices.native_errors import FATAL, FIRST_LINE, REPORTED, filtered, lost_process

ABORT = [
    f"E1123 {FIRST_LINE[0]}_agent.cc:289] Polled an error\n",
    f"F1123 client.h:80] {FATAL}. This most likely\n",
    "*** stack trace: ***\n",
    "@ 0x7f\n",
]


def test_an_abort_becomes_one_line() -> None:
    message = f"imgloc: {lost_process('process 1 of 2', 'JAX aborted this one')}\n"
    assert list(filtered(["a warning\n", *ABORT], "process 1 of 2")) == ["a warning\n", message]
    assert list(filtered(ABORT[1:], "process 1 of 2")) == [message]


def test_any_thread_of_jax_may_write_the_first_line() -> None:
    first = "W1123 preemption_sync_manager.cc:147] Failed to retrieve preemption notice from coordination service: UNAVAILABLE\n"
    assert list(filtered([first, *ABORT], "")) == [f"imgloc: {lost_process('', 'JAX aborted this one')}\n"]


def test_an_end_that_the_process_has_reported_is_not_reported_again() -> None:
    assert list(filtered(["a\n", *ABORT[:1], f"{REPORTED}\n", *ABORT[1:]], "")) == ["a\n"]
    assert list(filtered([*ABORT, f"{REPORTED}\n"], "")) == []


def test_without_an_abort_all_lines_pass() -> None:
    lines = ["a\n", ABORT[0], "b\n", "c"]
    assert list(filtered(lines, "")) == lines
    assert list(filtered([], "")) == []


def test_a_line_about_a_connection_is_dropped_also_in_pieces() -> None:
    end = "1 peer ranks. Expected number of connected peer ranks is : 1\n"
    mixed = [f"[Gloo] Rank 0 is connected to {end}", f"[Gloo] Rank 0[Gloo] Rank 0 is connected to {end}", end, "1\n"]
    assert list(filtered(["a\n", *mixed, "1 error\n"], "")) == ["a\n", "1 error\n"]


def test_the_program_filters_stdin_to_stderr() -> None:
    program = [sys.executable, "-I", "-S", native_errors.__file__, "process 0 of 2"]
    done = subprocess.run(program, input=b"\xff plain\n" + "".join(ABORT).encode(), capture_output=True, check=True)
    assert done.stdout == b""
    first, second = done.stderr.decode().splitlines()
    assert first.endswith("plain")
    assert second.startswith("imgloc: process 0 of 2: another process")
