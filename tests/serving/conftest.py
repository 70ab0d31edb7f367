"""One server for all tests of a session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.model import write_tiny_bundle
from tests.serving.running import FLAGS, Server, start, stop


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Iterator[Server]:
    """A server of a tiny localizer; at the end it must stop in order and have written nothing to stderr."""
    running = start(write_tiny_bundle(tmp_path_factory.mktemp("serve") / "model"), cache, *FLAGS)
    try:
        yield running
        assert stop(running) == ""
    finally:
        running.process.kill()
