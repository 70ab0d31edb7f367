"""What a server accepts: limits on the size, the time and the number of requests, and the refusals of what exceeds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from imgloc.errors import UserError

MAX_HELD_BYTES = 2**28  # of all uploads together that are being read or wait to be decoded


@dataclass(frozen=True)
class Limits:
    """The limits of a server. Raises UserError for values that leave no request."""

    bytes: int = 8 * 2**20  # of the body of a request
    pixels: int = 2**25  # of an image
    queue: int = 256  # images that wait for their answer
    seconds: float = 30.0  # from the end of the upload to the answer
    upload_seconds: float = 10.0  # for the head of a request, for its body, and for a client that does not read its answers

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise UserError(f"the limit '{name}' must be above 0, got {value}")
        if self.bytes > MAX_HELD_BYTES:
            raise UserError(f"the limit 'bytes' must be at most {MAX_HELD_BYTES}, got {self.bytes}")


class Refused(Exception):
    """A request that is not served: the status of HTTP, and the reason in one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Admitted:
    """The number of images that wait to be decoded, to be predicted, or for their answer."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = 0

    @contextmanager
    def image(self) -> Iterator[None]:
        """Counts an image in the context. Raises Refused (429) where `most` images are counted."""
        if self.count >= self._most:
            raise Refused(429, f"{self._most} images wait already; try again later")
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


class Held:
    """The number of bytes of uploads that the server holds at this moment."""

    def __init__(self) -> None:
        self.bytes = 0

    @contextmanager
    def upload(self) -> Iterator[Upload]:
        """An upload, whose bytes are no longer counted after the context."""
        upload = Upload(self)
        try:
            yield upload
        finally:
            upload.drop()


class Upload:
    """The bytes of one request."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.content = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append bytes. Raises Refused where the server holds too many."""
        if self._held.bytes + len(chunk) > MAX_HELD_BYTES:
            raise Refused(503, "the server holds too many uploads; try again later")
        self._held.bytes += len(chunk)
        self.content += chunk

    def drop(self) -> None:
        """Forget the bytes."""
        self._held.bytes -= len(self.content)
        self.content = bytearray()
