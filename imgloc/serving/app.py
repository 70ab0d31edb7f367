"""The web application: a page, and an HTTP interface in front of a trained model."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from imgloc.errors import one_line
from imgloc.inference.load import NOT_FINITE, Prepared, TrainedModel
from imgloc.inference.locate_files import answer_of
from imgloc.reporting.templates import render, script_policy
from imgloc.serving.batcher import Batcher
from imgloc.serving.limits import Admitted, Held, Limits, Refused
from imgloc.serving.measurements import Measurements
from imgloc.serving.openapi import description
from imgloc.serving.uploads import decode, receive

LOG = logging.getLogger(__name__)
DECODERS = 2  # threads
GONE = 499  # nginx's status for a client that has closed the connection
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, eq=False)
class Service:
    """What the requests share."""

    trained: TrainedModel
    limits: Limits
    held: Held
    admitted: Admitted
    batcher: Batcher
    decoders: ThreadPoolExecutor


def make_app(trained: TrainedModel, limits: Limits, *, batch_size: int, version: str) -> Starlette:
    """The application for a model. It predicts at most `batch_size` images together."""
    held, admitted = Held(), Admitted(limits.queue)
    measured = Measurements(lambda: admitted.count, lambda: held.bytes)
    batcher = Batcher(trained.columns, batch_size=batch_size, max_waiting=limits.queue, observe=measured.predicted)
    service = Service(trained, limits, held, admitted, batcher, ThreadPoolExecutor(DECODERS, thread_name_prefix="decode"))
    facts = _facts(trained)
    page, policy = _page(facts)
    document = description(version, trained.bundle.task, trained.task.summary, limits)

    async def locate(request: Request) -> Response:
        start = time.perf_counter()
        response = await _answer(service, request)
        measured.answered(response.status_code, time.perf_counter() - start)
        return response

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(batcher.run())
        yield
        running.cancel()
        batcher.close()
        service.decoders.shutdown(wait=False, cancel_futures=True)

    routes = [
        Route("/", _constant(lambda: HTMLResponse(page, headers={"Content-Security-Policy": policy}))),
        Route("/v1/locate", locate, methods=["POST"]),
        Route("/v1/model", _constant(lambda: JSONResponse(facts))),
        Route("/openapi.json", _constant(lambda: JSONResponse(document))),
        Route("/healthz", _constant(lambda: JSONResponse({"status": "ok"}))),
        Route("/metrics", _constant(lambda: Response(measured.text(), headers={"Content-Type": PROMETHEUS}))),
    ]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_error})


async def _answer(service: Service, request: Request) -> Response:
    """The answer to a request, or its refusal."""
    try:
        return JSONResponse(await _located(service, request))
    except Refused as refused:
        return _refusal(refused.status, refused.reason)
    except ClientDisconnect:
        return _refusal(GONE, "the client has closed the connection")
    except Exception as error:  # the device: the reason is of no use to a client, and may contain paths
        LOG.error("imgloc serve: a prediction failed: %s: %s", type(error).__name__, one_line(error))
        return _refusal(500, "the prediction failed; the log of the server has the reason")


async def _located(service: Service, request: Request) -> dict[str, Any]:
    """The JSON answer for the image of a request. Raises Refused."""
    trained, limits = service.trained, service.limits
    if request.headers.get("content-type", "").lower().startswith("multipart/"):
        raise Refused(415, "the body must be the bytes of the image alone, not a form")
    with service.held.upload() as upload:

        def decoded() -> Prepared:
            return decode(bytes(upload.content), trained.spec, limits)  # copied here: uploads that wait for a thread have no copy

        await receive(upload, request.stream(), limits)
        with service.admitted.image():
            try:
                async with asyncio.timeout(limits.seconds):
                    prepared = await asyncio.get_running_loop().run_in_executor(service.decoders, decoded)
                    row = await service.batcher.predict(prepared)
            except TimeoutError:
                raise Refused(503, f"the prediction took longer than {limits.seconds:g} s; try again later") from None
    if row is None:
        raise Refused(500, NOT_FINITE)
    return answer_of(trained, row, prepared)


def _refusal(status: int, reason: str) -> JSONResponse:
    """A refusal. The connection is closed, because the client may still be sending."""
    retry = {"Retry-After": "1"} if status in (429, 503) else {}
    return JSONResponse({"error": reason}, status, headers={"Connection": "close", **retry})


def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    """An unknown path or method."""
    what = f"{request.method} {request.url.path}"
    return JSONResponse({"error": f"{what}: {error.detail}; see /openapi.json"}, error.status_code, headers=error.headers)


def _constant(make: Callable[[], Response]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return make()

    return endpoint


def _facts(trained: TrainedModel) -> dict[str, Any]:
    """What `/v1/model` answers."""
    height, width, channels = trained.spec.shape
    return {
        "model": trained.name, "task": trained.bundle.task, "predicts": trained.task.summary, "step": trained.bundle.step,
        "input": {"height": height, "width": width, "channels": channels}, "classes": list(trained.classes),
    }  # fmt: skip


def _page(facts: dict[str, Any]) -> tuple[str, str]:
    """The page, and the Content-Security-Policy under which its script alone runs."""
    return render("serve.html.j2", **facts), script_policy("serve.js")
