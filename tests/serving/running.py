"""A server as a process of its own, and what its answers must be."""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests import processes

MIB = 2**20
MAX_BYTES, MAX_PIXELS, QUEUE, UPLOAD_SECONDS = MIB, 500_000, 40, 5.0
FLAGS = (
    f"--max-bytes={MAX_BYTES}", f"--max-pixels={MAX_PIXELS}", f"--max-queue={QUEUE}", f"--upload-timeout={UPLOAD_SECONDS}",
    "--port=0", "--batch-size=4",
)  # fmt: skip


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    bundle: Path
    port: int

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        """The status and the body of an answer, parsed where it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            content = response.read()
            is_json = response.headers.get_content_type() == "application/json"
            return response.status, json.loads(content) if is_json else content.decode()
        finally:
            connection.close()

    def locate(self, content: Any) -> tuple[int, Any]:
        return self.request("POST", "/v1/locate", content)

    def memory(self) -> int:
        """The resident memory of the process in bytes."""
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        return int(found[1]) * 1024 if found else 0

    def metric(self, name: str) -> float:
        text = self.request("GET", "/metrics")[1]
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name))


def start(bundle: Path, cache: Path, *flags: str) -> Server:
    command = [sys.executable, "-m", "imgloc", "serve", str(bundle), *flags]
    environment = {**processes.environment(cache), **processes.HASTE}
    process = subprocess.Popen(
        command, cwd=processes.ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r"at http://127\.0\.0\.1:(\d+)$", line.strip())
    if not found:
        process.kill()
        pytest.fail(f"{line}\n{process.communicate()[1]}")
    return Server(process, bundle, int(found[1]))


def stop(server: Server) -> str:
    """End the server with SIGTERM, check its exit code, and return what it has written to stderr."""
    server.process.send_signal(signal.SIGTERM)
    _, err = server.process.communicate(timeout=60)
    assert server.process.returncode == 0, err
    return err


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


def pictures(count: int, seed: int = 0) -> list[bytes]:
    """Images of several sizes and formats; every third is turned by EXIF."""
    rng, contents = np.random.default_rng(seed), []
    for number in range(count):
        pixels = rng.integers(0, 256, (*rng.integers(20, 90, 2), 3), np.uint8)
        exif = Image.Exif()
        exif[0x112] = 6 if number % 3 == 0 else 1
        contents.append(encoded(Image.fromarray(pixels), ("PNG", "JPEG")[number % 2], exif=exif))
    return contents


def expected(bundle: Path, contents: Sequence[bytes], folder: Path) -> list[dict[str, Any]]:
    """What `imgloc locate` prints for the images, without their paths."""
    from imgloc.inference.load import open_model
    from imgloc.inference.locate_files import locate_files

    folder.mkdir()
    paths = []
    for number, content in enumerate(contents):
        paths.append(str(folder / str(number)))
        Path(paths[-1]).write_bytes(content)
    lines = list(locate_files(open_model(bundle), paths, None))
    return [{key: value for key, value in line.items() if key != "path"} for line in lines]
