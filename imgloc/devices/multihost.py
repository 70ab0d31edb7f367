"""Several processes of one run: connecting them, and ending all of them when one is lost.

When one process ends, the others would wait for it forever in the next collective, in a save, or at the exit of JAX. So each of
them ends with a one-line message, and the run is restarted from its last checkpoint.
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

HEARTBEAT_SECONDS = 30  # without a heartbeat until a process counts as lost; with the 100 of JAX accelerators idle for longer
# Parts of the messages of errors that another process or the connection to it has caused: Gloo, NCCL, JAX's coordination service.
LOST = ("Gloo", "by peer", "NCCL", "coordination", "heartbeat", "UNAVAILABLE", "DEADLINE_EXCEEDED")


def connect_processes(place: str) -> None:
    """Connect this process to the others of its run, given `auto` or its `HOST:PORT,COUNT,INDEX`. Call before devices are used.

    Raises UserError where it cannot connect.
    """
    # While native code waits for the other processes, no handler in Python would run; nothing has been written that could be lost.
    handlers = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _initialize(place)
    finally:
        signal.signal(signal.SIGINT, handlers[signal.SIGINT])
    if jax.process_count() == 1:  # JAX has replaced the handler in order to agree on a step with other processes
        signal.signal(signal.SIGTERM, handlers[signal.SIGTERM])
    _filter_stderr()
    _separate_stdout()


def _initialize(place: str) -> None:
    if place == "auto":
        try:
            jax.distributed.initialize(heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
        except (ValueError, RuntimeError) as error:
            cause = one_line(error, lines=1)
            raise UserError(f"--distributed detects no cluster ({cause}); pass --distributed=HOST:PORT,COUNT,INDEX") from error
        return
    address, count, index = _parse(place)
    try:
        jax.distributed.initialize(address, count, index, heartbeat_timeout_seconds=HEARTBEAT_SECONDS)
    except RuntimeError as error:
        raise UserError(f"--distributed cannot connect to {address} ({one_line(error, lines=1)}); start process 0 there") from error


def _parse(place: str) -> tuple[str, int, int]:
    """Return HOST:PORT, COUNT and INDEX. Raises UserError for values on which JAX would wait for minutes or crash."""
    parts = re.fullmatch(r"(\[[^\[\]]+\]|[^:,]+):([0-9]{1,5}),([0-9]{1,9}),([0-9]{1,9})", place)
    if parts is None or not 0 < int(parts[2]) < 2**16 or int(parts[4]) >= int(parts[3]):
        raise UserError(f"--distributed must be HOST:PORT,COUNT,INDEX such as 10.0.0.1:1234,2,0, got '{place}'")
    host, port, index = parts[1], int(parts[2]), int(parts[4])
    try:
        socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        message = f"--distributed cannot resolve host '{host}' ({one_line(error)}); pass the name or address of the host of process 0"
        raise UserError(message) from error
    if index == 0 and _is_in_use(port):
        raise UserError(f"--distributed: port {port} is in use on this host; pass another one, the same for all processes")
    return f"{host}:{port}", int(parts[3]), index


def _is_in_use(port: int) -> bool:
    """Return whether a port of this host is in use, so that the coordination service of JAX cannot bind it."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore connections that are closed
        try:
            probe.bind(("", port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def _separate_stdout() -> None:
    """Send what native code writes to stdout, such as Gloo's connections, to stderr; Python continues to write to stdout."""
    sys.stdout.flush()
    sys.stdout = os.fdopen(os.dup(1), "w", buffering=1, errors="backslashreplace")
    os.dup2(2, 1)


def _filter_stderr() -> None:
    """Send what native threads write to stderr through `native_errors`; Python continues to write to stderr directly."""
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
def exiting_on_error(*shared: type[Exception]) -> Iterator[None]:
    """End this process at once on an error inside, with one line and exit code 1 (2 for a UserError), if there are several processes.

    Cleanup would wait for the others. Errors of the types `shared`, which all processes raise at the same step, propagate.
    """
    try:
        yield
    except Exception as error:
        if jax.process_count() == 1 or isinstance(error, shared):
            raise
        sys.stdout.flush()
        sys.stderr.write(f"imgloc: {_message(error)}\n")
        sys.stderr.flush()
        os.write(2, f"{native_errors.REPORTED}\n".encode())
        os._exit(2 if isinstance(error, UserError) else 1)


def _message(error: Exception) -> str:
    for cause in with_causes(error):  # a save or a restore wraps the error of the connection in one about its folder
        if isinstance(cause, RuntimeError) and any(part in str(cause) for part in LOST):
            return native_errors.lost_process(_place(), reason(cause, lines=1)[:300])
    return f"{_place()}: {one_line(error) if isinstance(error, UserError) else reason(error, lines=1)[:300]}"
