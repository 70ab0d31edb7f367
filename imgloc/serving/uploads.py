"""From the body of a request to an image for the model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from imgloc.data.images.decode import decode_image, read_header
from imgloc.errors import UserError
from imgloc.inference.load import Prepared, prepare
from imgloc.serving.limits import Limits, Refused, Upload
from imgloc.types import InputSpec


async def receive(upload: Upload, stream: AsyncIterator[bytes], limits: Limits) -> None:
    """Read the body of a request into `upload`. Raises Refused for one that is too large (413) or arrives too slowly (408).

    The rest of a body that is too large is read and dropped, because most clients read no answer before they have sent everything.
    """
    size = 0
    try:
        async with asyncio.timeout(limits.upload_seconds):
            async for chunk in stream:
                size += len(chunk)
                if size > limits.bytes:
                    upload.drop()
                else:
                    upload.add(chunk)
    except TimeoutError:
        if size <= limits.bytes:
            raise Refused(408, f"the upload took longer than {limits.upload_seconds:g} s") from None
    if size > limits.bytes:
        raise Refused(413, f"the body has more than {limits.bytes} bytes; send a smaller image")


def decode(content: bytes, spec: InputSpec, limits: Limits) -> Prepared:
    """The image in `content` for the model. Raises Refused for anything but an image (400) and for too many pixels (413)."""
    if not content:
        raise Refused(400, "the body is empty; send the bytes of an image file")
    try:
        header = read_header(content)
        if header.width * header.height > limits.pixels:
            size = f"{header.width} x {header.height} pixels"
            raise Refused(413, f"the image has {size}, more than {limits.pixels} in total; send a smaller one")
        return prepare(decode_image(content, channels=spec.shape[2]), spec)
    except UserError as error:
        raise Refused(400, f"the body is not an image that can be read: {error}") from error
