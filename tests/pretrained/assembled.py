"""Files of torch.save assembled by hand, right or wrong, without PyTorch."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

KINDS = {"f4": "FloatStorage", "f2": "HalfStorage", "i8": "LongStorage"}


class Raw(NamedTuple):
    """Instructions of a pickle that leave one value on its stack."""

    code: bytes


def code_of(value: Any) -> bytes:
    """Instructions that push a value."""
    if isinstance(value, Raw):
        return value.code
    if value is None or isinstance(value, bool):
        return {None: b"N", True: b"\x88", False: b"\x89"}[value]
    if isinstance(value, int):
        size = value.bit_length() // 8 + 1
        return b"\x8b" + struct.pack("<i", size) + value.to_bytes(size, "little", signed=True)
    if isinstance(value, str):
        return b"X" + struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, dict):
        return b"}(" + b"".join(code_of(key) + code_of(each) for key, each in value.items()) + b"u"
    opening, closing = (b"](", b"e") if isinstance(value, list) else (b"(", b"t")
    return opening + b"".join(map(code_of, value)) + closing


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + code_of(value) + b"."


def called(function: str, *arguments: Any) -> Raw:
    """A call of a global, as `module name`."""
    return Raw(b"c" + function.replace(" ", "\n").encode() + b"\n" + code_of(arguments) + b"R")


def tensor(key: str, shape: Any, strides: Any, *, size: Any, offset: Any = 0, kind: str = "FloatStorage") -> Raw:
    """A tensor that is a view of the storage `key` of `size` elements."""
    storage = Raw(code_of(("storage", Raw(f"ctorch\n{kind}\n".encode()), key, "cpu", size)) + b"Q")
    hooks = called("collections OrderedDict")
    return called("torch._utils _rebuild_tensor_v2", storage, offset, shape, strides, False, hooks)


def archive(path: Path, value: Any, storages: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED, order: str = "little") -> Path:
    """Write an archive of torch.save."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("name/data.pkl", value if isinstance(value, bytes) else pickled(value))
        file.writestr("name/byteorder", order)
        for key, content in storages.items():
            file.writestr(f"name/data/{key}", content)
    return path


def plain(path: Path, value: Any, storages: dict[str, bytes], *, itemsize: int = 4) -> Path:
    """Write a plain file of torch.save."""
    content = io.BytesIO()
    for each in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, value, list(storages)):
        content.write(pickled(each))
    for stored in storages.values():
        content.write(struct.pack("<q", len(stored) // itemsize) + stored)
    path.write_bytes(content.getvalue())
    return path


def floats(count: int) -> bytes:
    return np.arange(count, dtype="<f4").tobytes()
