"""Several processes of one run: joining them, and ending at once where one of them is gone.

A run stands still when one of its processes ends: the others wait for it in the next exchange of gradients, in a
save, or at JAX's own end. So each of them ends too, with one line, and all start again from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator

import jax

from imgloc.devices import native_errors
from imgloc.errors import UserError, one_line, reason, with_causes

HEARTBEAT_SECONDS = 30  # without a sign of a process until it counts as gone; JAX's own 100 keep accelerators idle for longer
# What errors say where it is another process, or the way to it, that has failed: Gloo, NCCL, JAX's coordination service.
LOST = ("Gloo", "by peer", "NCCL", "coordination", "heartbeat", "UNAVAILABLE", "DEADLINE_EXCEEDED")


def join(place: str) -> None:
    """Connect the processes of one run: `auto`, or `HOST:PORT,COUNT,INDEX` of this one. Before anything asks for devices."""
    obeys = signal.getsignal(signal.SIGTERM)
    _initialize(place)
    if jax.process_count() == 1:  # nobody to agree with on a step: SIGTERM stays what it was, JAX has taken it over
        signal.signal(signal.SIGTERM, obeys)
    _told_in_one_line()


def _initialize(place: str) -> None:
    if place == "auto":
        try:
            jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
        except (ValueError, RuntimeError) as error:
            found = one_line(error, lines=1)
            raise UserError(f"--distributed finds no cluster here ({found}); possible: --distributed=HOST:PORT,COUNT,INDEX") from error
        return
    address, count, index = _parsed(place)
    try:
        jax.distributed.initialize(address, count, index, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    except RuntimeError as error:
        raise UserError(f"--distributed cannot join the processes at {address} ({one_line(error, lines=1)})") from error


def _parsed(place: str) -> tuple[str, int, int]:
    """`HOST:PORT,COUNT,INDEX` taken apart. Raises UserError for what JAX would wait minutes for, or crash on."""
    parts = re.fullmatch(r"(\[[^\[\]]+\]|[^:,]+):([0-9]{1,5}),([0-9]{1,9}),([0-9]{1,9})", place)
    if parts is None or not 0 < int(parts[2]) < 2**16 or int(parts[4]) >= int(parts[3]):
        raise UserError(f"--distributed wants HOST:PORT,COUNT,INDEX such as 10.0.0.1:1234,2,0; got '{place}'")
    host, port, index = parts[1], int(parts[2]), int(parts[4])
    try:
        socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        found = one_line(error)
        raise UserError(f"--distributed: no host '{host}' is known here ({found}); possible: the name or address of the first") from error
    if index == 0 and _is_taken(port):
        raise UserError(f"--distributed: port {port} is in use on this host; possible: another one, the same for all processes")
    return f"{host}:{port}", int(parts[3]), index


def _is_taken(port: int) -> bool:
    """Whether a port of this host is in use: JAX's service, which all processes join, could not."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections that have ended are none
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _told_in_one_line() -> None:
    """From here on what JAX's own threads write goes through `native_errors`; what Python writes stays as it was."""
    reading, writing = os.pipe()
    program = [sys.executable, "-I", "-S", native_errors.__file__, _place()]
    os.posix_spawn(sys.executable, program, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)], setpgroup=0)
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
    os.dup2(writing, 2)
    os.close(reading)
    os.close(writing)


def _place() -> str:
    return f"process {jax.process_index()} of {jax.process_count()}"


@contextlib.contextmanager
def ending_at_once(*shared: type[Exception]) -> Iterator[None]:
    """Where there are several processes, an error inside ends this one at once: one line, exit code 1 (UserError: 2).

    Whatever would tidy up after it waits for the others. Errors of the types `shared` come to all alike and pass.
    """
    try:
        yield
    except Exception as error:
        if jax.process_count() == 1 or isinstance(error, shared):
            raise
        sys.stdout.flush()
        sys.stderr.write(f"imgloc: {_told(error)}\n")
        sys.stderr.flush()
        os.write(2, f"{native_errors.TOLD}\n".encode())
        os._exit(2 if isinstance(error, UserError) else 1)


def _told(error: Exception) -> str:
    for behind in with_causes(error):  # whatever met it first: a save or a restore tells of its folder
        if isinstance(behind, RuntimeError) and any(sign in str(behind) for sign in LOST):
            return native_errors.lost(_place(), reason(behind, lines=1)[:300])
    return f"{_place()}: {one_line(error) if isinstance(error, UserError) else reason(error, lines=1)[:300]}"
