"""`imgloc serve` as a real process on loopback: right answers, refusals, many requests at once, slow clients, and its end."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.cli import main
from imgloc.models import two_frame_tracker
from tests.serving.running import MAX_BYTES, MIB, UPLOAD_SECONDS, Server, encoded, expected, pictures, start

for _package in ("starlette", "uvicorn", "prometheus_client"):
    pytest.importorskip(_package)

from starlette.requests import Request

from imgloc.serving import app
from imgloc.serving.limits import Admitted, Held, Limits, Refused


def assert_same(answer: dict[str, Any], other: dict[str, Any]) -> None:
    assert answer.keys() == other.keys()
    assert answer["class"] == other["class"]
    for key in answer.keys() - {"class"}:
        np.testing.assert_allclose(answer[key], other[key], atol=2e-3, err_msg=key)


def together(function: Any, arguments: Sequence[Any], threads: int) -> tuple[list[Any], list[float]]:
    """The results of a function, called by many threads, and the seconds of each call."""

    def timed(argument: Any) -> tuple[Any, float]:
        begin = time.perf_counter()
        return function(argument), time.perf_counter() - begin

    with ThreadPoolExecutor(threads) as pool:
        done = list(pool.map(timed, arguments))
    return [result for result, _ in done], [seconds for _, seconds in done]


def test_answers_are_those_of_imgloc_locate(server: Server, tmp_path: Path) -> None:
    contents = pictures(9)
    answers = [server.locate(content) for content in contents]
    assert {status for status, _ in answers} == {200}
    for (_, answer), other in zip(answers, expected(server.bundle, contents, tmp_path / "images"), strict=True):
        assert_same(answer, other)
    assert any("box_upright" in answer for _, answer in answers)
    assert len({json.dumps(answer["box"]) for _, answer in answers}) == len(answers), "images with equal answers would hide a mix-up"


def check_many(server: Server, folder: Path, count: int, threads: int) -> None:
    """Every answer to many requests at once is right, or a refusal because of the queue; memory stays bounded."""
    contents = pictures(24, seed=1)
    right = expected(server.bundle, contents, folder)
    server.locate(contents[0])
    before, batches = server.memory(), server.metric("imgloc_batch_images_count")
    answers, seconds = together(lambda number: server.locate(contents[number % 24]), range(count), threads)
    served = 0
    for number, (status, answer) in enumerate(answers):
        assert status in (200, 429), answer
        if status == 200:
            assert_same(answer, right[number % 24])
            served += 1
        else:
            assert "try again" in answer["error"]
    assert served >= count // 4
    assert server.metric("imgloc_batch_images_count") - batches < served, "requests at the same time were not predicted together"
    assert server.memory() - before < 200 * MIB
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    print(f"\n{count} requests by {threads} clients: {served} answered, p50 {p50:.0f} ms, p99 {p99:.0f} ms, "
          f"{count / sum(seconds) * threads:.0f} a second, {(server.memory() - before) / MIB:.0f} MiB more")  # fmt: skip


def test_two_hundred_requests_at_once(server: Server, tmp_path: Path) -> None:
    check_many(server, tmp_path / "images", 200, 50)


@pytest.mark.slow
def test_ten_thousand_requests_by_a_thousand_clients(server: Server, tmp_path: Path) -> None:
    check_many(server, tmp_path / "images", 10_000, 1000)


def icon(png: bytes) -> bytes:
    """An ICO file of one image, whose directory gives it 16 x 16 pixels."""
    return struct.pack("<3H4B2H2I", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(png), 22) + png


MALFORMED = {
    "nothing": (b"", 400, "empty"),
    "text": (b"GET / HTTP/1.1", 400, "not an image"),
    "a cut PNG": (encoded(Image.new("RGB", (50, 50), "red"))[:70], 400, "truncated"),
    "a cut JPEG": (
        encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), "JPEG")[:900],
        400,
        "damaged",
    ),
    "many pixels in few bytes": (encoded(Image.new("1", (3000, 3000))), 413, "3000 x 3000 pixels"),
    "a large PNG in a small icon": (icon(encoded(Image.new("1", (3000, 3000)))), 400, "not an image in a supported format"),
    "many bytes": (bytes(MAX_BYTES + 1), 413, f"more than {MAX_BYTES} bytes"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_images_are_refused_in_one_line(server: Server, name: str) -> None:
    content, status, reason = MALFORMED[name]
    got, answer = server.locate(content)
    assert (got, list(answer)) == (status, ["error"])
    assert reason in answer["error"]
    assert "\n" not in answer["error"]
    assert server.request("GET", "/healthz") == (200, {"status": "ok"})


def test_other_requests_are_refused_in_one_line(server: Server) -> None:
    for kind in ("multipart/form-data", "Multipart/Form-Data"):
        assert server.request("POST", "/v1/locate", b"--a--", {"Content-Type": f"{kind}; boundary=a"})[0] == 415
    for method, path, status in (("GET", "/v1/locate", 405), ("GET", "/../etc/passwd", 404), ("POST", "/", 405)):
        got, answer = server.request(method, path)
        assert (got, list(answer)) == (status, ["error"])


@pytest.mark.parametrize("chunked", [False, True])
def test_files_of_50_mb_are_refused_without_being_held(server: Server, chunked: bool) -> None:
    before = server.memory()
    body: Any = (bytes(MIB) for _ in range(50)) if chunked else bytes(50 * MIB)
    assert together(lambda _: server.locate(body)[0], range(1), 1)[0] == [413]
    statuses, _ = together(lambda _: server.locate(bytes(50 * MIB))[0], range(4), 4)
    assert statuses == [413] * 4
    assert server.memory() - before < 60 * MIB
    for _ in range(100):  # the server notices a closed connection a moment later
        if server.metric("imgloc_upload_bytes") == 0:
            break
        time.sleep(0.05)
    assert server.metric("imgloc_upload_bytes") == 0


def test_slow_clients_are_cut_off_and_do_not_block_others(server: Server) -> None:
    head = b"POST /v1/locate HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n"
    sent = {b"": None, b"POST /v1": None, head: 408, head + b"abc": 408}
    slow = []
    for begun in list(sent) * 20:  # more than the queue holds
        client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        client.sendall(begun)
        slow.append((client, sent[begun]))
    begin = time.monotonic()
    assert server.locate(pictures(1)[0])[0] == 200
    assert time.monotonic() - begin < UPLOAD_SECONDS, "the slow clients have blocked another one"
    for client, status in slow:
        with client:
            answer = b""
            while received := client.recv(4096):
                answer += received
        assert answer.startswith(b"HTTP/1.1 408") if status else answer == b"", answer
    assert server.locate(pictures(1)[0])[0] == 200


def test_a_client_that_reads_no_answer_is_cut_off(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=UPLOAD_SECONDS + 20) as client, pytest.raises(ConnectionError):
        # The buffers of both sides fill up first, and then this waits until the server closes the connection.
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2**20)
    assert server.locate(pictures(1)[0])[0] == 200


def test_images_that_wait_for_a_decoder_are_limited_and_make_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def slowly(content: bytes, *_: Any) -> Any:
        released.wait(30)
        raise Refused(400, content.decode())

    monkeypatch.setattr(app, "decode", slowly)

    async def post(service: app.Service, body: bytes) -> tuple[int, Any]:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        response = await app._answer(service, Request({"type": "http", "method": "POST", "headers": []}, receive))
        return response.status_code, json.loads(bytes(response.body))["error"]

    async def check() -> None:
        nothing: Any = SimpleNamespace(spec=None)
        limits = Limits(queue=3)
        with ThreadPoolExecutor(1) as decoders:
            service = app.Service(nothing, limits, Held(), Admitted(limits.queue), nothing, decoders)
            waiting = [asyncio.create_task(post(service, body)) for body in (b"a", b"b", b"c")]
            await asyncio.sleep(0.1)
            assert await post(service, b"d") == (429, "3 images wait already; try again later")
            released.set()
            assert [await task for task in waiting] == [(400, "a"), (400, "b"), (400, "c")]
            assert await post(service, b"d") == (400, "d")

    asyncio.run(check())


def test_clients_that_leave_do_not_disturb(server: Server) -> None:
    content = pictures(1)[0]
    head = b"POST /v1/locate HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content)
    for part in (head, head + content[:50], head + content):
        socket.create_connection(("127.0.0.1", server.port)).sendall(part)  # and closed at once
    assert server.locate(content)[0] == 200
    for _ in range(100):  # the server notices a closed connection a moment later
        if server.metric("imgloc_upload_bytes") == 0:
            break
        time.sleep(0.05)
    assert server.metric("imgloc_upload_bytes") == 0


def test_the_description_names_every_path_and_status(server: Server) -> None:
    document = server.request("GET", "/openapi.json")[1]
    assert document["openapi"].startswith("3.1")
    for path, methods in document["paths"].items():
        for method in methods:
            assert server.request(method.upper(), path)[0] in (200, 400)
    statuses = document["paths"]["/v1/locate"]["post"]["responses"]
    assert {str(status) for _, status, _ in MALFORMED.values()} | {"200", "408", "415", "429", "503"} <= statuses.keys()
    facts = server.request("GET", "/v1/model")[1]
    assert (facts["task"], facts["classes"], facts["input"]["channels"]) == ("localize", list("0123456789"), 1)


def test_metrics_count_the_answers(server: Server) -> None:
    before = server.metric('imgloc_requests_total{status="200"}'), server.metric('imgloc_requests_total{status="400"}')
    server.locate(pictures(1)[0])
    server.locate(b"text")
    after = server.metric('imgloc_requests_total{status="200"}'), server.metric('imgloc_requests_total{status="400"}')
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)


def test_sigterm_answers_what_has_arrived(server: Server, cache: Path) -> None:
    own = start(server.bundle, cache, "--port=0", "--batch-size=1")
    content = pictures(1)[0]
    head = b"POST /v1/locate HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(content)
    with socket.create_connection(("127.0.0.1", own.port), timeout=60) as client:
        client.sendall(head)
        assert client.recv(4096).startswith(b"HTTP/1.1 100"), "the server waits for the body now"
        own.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        client.sendall(content)
        answer = b""
        while received := client.recv(4096):
            answer += received
    assert answer.startswith(b"HTTP/1.1 200"), answer
    own.process.communicate(timeout=30)
    assert own.process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", own.port))


def test_mistakes_are_one_line(server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgloc.devices.runtime.prepare", lambda: None)  # of the process of all tests
    for flags, reason in (
        ((str(server.bundle), f"--port={server.port}"), "choose another --host or --port"),
        ((str(server.bundle), "--port=70000"), "--port must be from 0 to 65535"),
        ((str(server.bundle), "--max-bytes=0"), "'bytes' must be above 0"),
        ((str(server.bundle), "--batch-size=0"), "--batch-size must be from 1"),
        ((str(server.bundle.parent / "none"),), "there is no folder"),
    ):
        assert main.main(["serve", *flags]) == 2
        err = capsys.readouterr().err
        assert reason in err
        assert len(err.splitlines()) == 1
    tracker = SimpleNamespace(module=two_frame_tracker.Model(num_classes=1), name="two_frame_tracker")
    monkeypatch.setattr("imgloc.inference.load.open_model", lambda *_, **__: tracker)
    assert main.main(["serve", str(server.bundle)]) == 2
    assert "model 'two_frame_tracker' reads videos; imgloc serve supports models of images" in capsys.readouterr().err
