"""Runs the application with uvicorn until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Callable
from typing import Any

import numpy as np
import uvicorn

from imgloc.data.images.picture import Picture
from imgloc.errors import UserError
from imgloc.inference.load import TrainedModel, prepare
from imgloc.serving.app import make_app
from imgloc.serving.limits import Limits

STOP_SECONDS = 30  # that requests have to end after SIGTERM
CHECK_SECONDS = 0.5  # between looks at the connections
MAX_FILES = 2**14


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on an address; port 0 chooses a free one. Raises UserError where it cannot."""
    if not 0 <= port < 2**16:
        raise UserError(f"--port must be from 0 to 65535, got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048, reuse_port=False)
    except OSError as error:
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --host or --port") from error


def compile_all(trained: TrainedModel, batch_size: int) -> None:
    """Compile the prediction for every number of images that a batch is padded to."""
    height, width, channels = trained.spec.shape
    blank = prepare(Picture(np.zeros((height, width, channels), np.uint8), width, height), trained.spec)
    size = 1
    while size < batch_size:
        trained.columns([blank] * size, batch_size)
        size *= 2
    trained.columns([blank] * batch_size, batch_size)


def serve(trained: TrainedModel, listening: socket.socket, limits: Limits, *, batch_size: int, version: str) -> None:
    """Serve a model on a socket; returns after SIGTERM, when the requests that had arrived are answered. Ctrl-C raises its error."""
    _allow_many_connections()
    config = uvicorn.Config(
        make_app(trained, limits, batch_size=batch_size, version=version),
        loop="asyncio", http="h11", ws="none", log_config=None, access_log=False, server_header=False,
        timeout_graceful_shutdown=STOP_SECONDS, timeout_keep_alive=15,
    )  # fmt: skip
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    server = uvicorn.Server(config)
    previous = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises the signal again after it has stopped
    try:
        asyncio.run(_run(server, listening, limits))
    finally:
        signal.signal(signal.SIGTERM, previous)


async def _run(server: uvicorn.Server, listening: socket.socket, limits: Limits) -> None:
    closing = asyncio.create_task(_close_slow(lambda: server.server_state.connections, limits.upload_seconds))
    await server.serve(sockets=[listening])
    closing.cancel()


async def _close_slow(connections: Callable[[], Any], seconds: float) -> None:
    """Closes connections whose next request has not begun after `seconds`, or whose client does not read its answers for so long.

    uvicorn waits without a limit for the head of a request, and for the client to read.
    """
    clock = asyncio.get_running_loop().time
    seen: dict[Any, tuple[Any, float]] = {}
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        waiting = {each: each.cycle for each in connections() if _waits_for_client(each)}
        # The same request, or still none: nothing has begun since.
        seen = {each: seen[each] if each in seen and seen[each][0] is cycle else (cycle, clock()) for each, cycle in waiting.items()}
        for each, (_, since) in seen.items():
            if clock() - since > seconds:
                if each.transport.get_write_buffer_size():  # `close` would wait until the client has read it
                    each.transport.abort()
                else:
                    each.transport.close()


def _waits_for_client(connection: Any) -> bool:
    """Whether a connection has no request in progress, or one whose answer the client does not read."""
    return bool(connection.cycle is None or connection.cycle.response_complete or connection.flow.write_paused)


def _allow_many_connections() -> None:
    """Raise the limit on open files of this process, of which each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MAX_FILES if hard == resource.RLIM_INFINITY else min(MAX_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
