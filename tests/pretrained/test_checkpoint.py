"""Files of tensors against what PyTorch has written, and files that are hostile or damaged: nothing in them is executed."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from imgloc.errors import UserError
from imgloc.pretrained.loading.checkpoint import read_checkpoint
from tests.pretrained.assembled import Raw, archive, called, code_of, floats, pickled, plain, tensor
from tests.pretrained.recorded import FILES
from tests.refusals import assert_refused

VALUES = {name: np.array(value) for name, value in json.loads((FILES / "values.json").read_text()).items()}


@pytest.mark.parametrize("name", ["archive", "plain", "training"])
def test_tensors_are_those_that_pytorch_has_saved(name: str) -> None:
    tensors = read_checkpoint(FILES / f"{name}.pth")
    assert set(tensors) == set(VALUES)
    for key, tensor_ in tensors.items():
        array = tensor_.read()
        assert array.shape == tensor_.shape
        assert array.size == VALUES[key].size
        np.testing.assert_array_equal(array, VALUES[key].reshape(array.shape))
    dtypes = {key: str(tensors[key].read().dtype) for key in ("plain", "half", "bfloat16", "double", "long", "bytes", "flags")}
    expected = {"plain": "float32", "half": "float16", "bfloat16": "float32", "double": "float64", "long": "int64", "bytes": "uint8"}
    assert dtypes == {**expected, "flags": "bool"}


def test_safetensors_are_read_by_name(tmp_path: Path) -> None:
    save_file({"a.weight": np.eye(3, dtype=np.float32), "b": np.arange(4, dtype=np.float16)}, tmp_path / "a.safetensors")
    tensors = read_checkpoint(tmp_path / "a.safetensors")
    assert {name: each.shape for name, each in tensors.items()} == {"a.weight": (3, 3), "b": (4,)}
    np.testing.assert_array_equal(tensors["a.weight"].read(), np.eye(3))
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(content[:-5])
    assert_refused(lambda: read_checkpoint(tmp_path / "a.safetensors"), "a.safetensors", "damaged")


def test_a_big_endian_archive_has_the_same_values(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pth", {"a": tensor("0", (2, 3), (3, 1), size=6)}, {"0": np.arange(6, dtype=">f4").tobytes()}, order="big")
    np.testing.assert_array_equal(read_checkpoint(path)["a"].read(), np.arange(6).reshape(2, 3))


class Evil:
    """A value whose pickle runs a command when Python loads it."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> Any:
        return os.system, (self.command,)


HOSTILE: dict[str, tuple[Any, tuple[str, ...]]] = {
    "a builtin": (called("builtins eval", "1"), ("builtins.eval", "nothing was executed")),
    "an inner attribute": (called("torch._utils _rebuild_tensor_v2.__globals__", 1), ("_rebuild_tensor_v2.__globals__",)),
    "another function of torch": (called("torch load", "x"), ("torch.load",)),
    "a namespace": (called("argparse Namespace"), ("argparse.Namespace",)),
    "a call of a value": (Raw(code_of("text") + code_of(()) + b"R"), ("damaged", "str in the place of Function")),
    "a new object": (Raw(b"ccollections\nOrderedDict\n)\x81"), ("NEWOBJ",)),
    "attributes of a tensor": (Raw(tensor("0", (1,), (1,), size=4).code + code_of({}) + b"b"), ("damaged", "Tensor in the place of dict")),
    "an instance": (Raw(b"(ios\nsystem\n"), ("INST",)),
    "a global by its stack": (Raw(code_of("os") + code_of("system") + b"\x93"), ("os.system",)),
    "an extension": (Raw(b"\x82\x01"), ("EXT1",)),
    "a persistent id in text": (Raw(b"P0\n"), ("PERSID",)),
    "a storage that is a tuple": (Raw(code_of((1, 2)) + b"Q"), ("refers to an object that is not a whole storage of tensors",)),
    "a storage of another kind": (Raw(code_of(("storage", "FloatStorage", "0", "cpu", 4)) + b"Q"), ("not described by a class",)),
    "a nested key": (Raw(b"})" + b"\x85" * 100_000 + b"Ns"), ("neither text nor a number",)),
    "an empty stack": (Raw(b"0"), ("damaged",)),
    "no tensors": ({"a": [tensor("0", (4,), (1,), size=4)]}, ("holds no dict of tensors",)),
    "too long": ({"a": tensor("0", (5,), (1,), size=4)}, ("exceeds its storage of 4 elements", "(5,)")),
    "beyond the end": ({"a": tensor("0", (2,), (1,), size=4, offset=3)}, ("exceeds its storage", "offset 3")),
    "a long stride": ({"a": tensor("0", (2,), (4,), size=4)}, ("exceeds its storage",)),
    "a negative stride": ({"a": tensor("0", (2,), (-1,), size=4, offset=1)}, ("not described by a storage, an offset",)),
    "a negative offset": ({"a": tensor("0", (2,), (1,), size=4, offset=-1)}, ("not described by a storage, an offset",)),
    "a huge expanded shape": ({"a": tensor("0", (2**40, 2**20), (0, 0), size=4)}, ("exceeds its storage",)),
    "a number of a million digits": ({"a": tensor("0", (2**400_000,) * 8, (0,) * 8, size=4)}, ("not described by",)),
    "too many axes": ({"a": tensor("0", (1,) * 9, (1,) * 9, size=4)}, ("9 axes",)),
    "strides without shape": ({"a": tensor("0", (2,), (), size=4)}, ("1 axes and 0 strides",)),
    "a shape of text": ({"a": tensor("0", "22", (1, 1), size=4)}, ("not described by",)),
    "a larger storage": ({"a": tensor("0", (2,), (1,), size=400)}, ("storage '0'",)),
    "a smaller storage": ({"a": tensor("0", (2,), (1,), size=2)}, ("storage '0'",)),
    "a negative storage": ({"a": tensor("0", (2,), (1,), size=-4)}, ("not described by a class",)),
    "another storage": ({"a": tensor("7", (2,), (1,), size=4)}, ("storage",)),
    "a path as storage": ({"a": tensor("../data.pkl", (2,), (1,), size=4)}, ("storage",)),
}


@pytest.mark.parametrize("write", [archive, plain])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_is_not_tensors_is_refused_in_one_line(case: str, write: Callable[..., Path], tmp_path: Path) -> None:
    value, messages = HOSTILE[case]
    path = write(tmp_path / "a.pth", value, {"0": floats(4)})
    start = time.thread_time()  # processor time, whatever else the machine does
    assert_refused(lambda: read_checkpoint(path), "a.pth", *messages)
    assert time.thread_time() - start < 5


@pytest.mark.parametrize("write", [archive, plain])
@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_runs_a_command_is_refused(write: Callable[..., Path], protocol: int, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    content = pickle.dumps({"a": Evil(f"touch {mark}")}, protocol=protocol)
    pickle.loads(content)
    assert mark.exists(), "the pickle runs no command"
    mark.unlink()
    body = content.removeprefix(bytes((0x80, protocol)))[:-1]
    path = write(tmp_path / "a.pth", Raw(body), {}) if write is plain else write(tmp_path / "a.pth", content, {})
    assert_refused(lambda: read_checkpoint(path), "a.pth", "system")
    bare = tmp_path / "bare.pth"
    bare.write_bytes(content)
    assert_refused(lambda: read_checkpoint(bare), "bare.pth")
    assert not mark.exists()


def test_archives_that_torch_does_not_write_are_refused(tmp_path: Path) -> None:
    good = {"a": tensor("0", (4,), (1,), size=4)}
    large = {"a": tensor("0", (2**22,), (1,), size=2**22)}
    bomb = archive(tmp_path / "bomb.pth", large, {"0": bytes(2**24)}, compression=zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 2**16
    assert_refused(lambda: read_checkpoint(bomb), "bomb.pth", "compressed")
    odd = archive(tmp_path / "odd.pth", good, {"0": floats(4)}, order="middle")
    assert_refused(lambda: read_checkpoint(odd), "odd.pth", "byteorder")
    with zipfile.ZipFile(tmp_path / "empty.pth", "w") as file:
        file.writestr("a.txt", "a")
    assert_refused(lambda: read_checkpoint(tmp_path / "empty.pth"), "without a data.pkl")
    changed = bytearray(archive(tmp_path / "crc.pth", good, {"0": floats(4)}).read_bytes())
    changed[changed.index(floats(4)) + 5] ^= 1
    (tmp_path / "crc.pth").write_bytes(changed)
    assert_refused(read_checkpoint(tmp_path / "crc.pth")["a"].read, "storage '0' is damaged")
    assert_refused(lambda: read_checkpoint(tmp_path / "nowhere.pth"), "nowhere.pth")
    assert_refused(lambda: read_checkpoint(tmp_path), str(tmp_path))


@pytest.mark.parametrize("name", ["archive", "plain"])
def test_a_file_that_is_cut_off_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    content = (FILES / f"{name}.pth").read_bytes()
    for length in [*range(0, len(content) - 1, 37), len(content) - 1]:
        (tmp_path / "a.pth").write_bytes(content[:length])
        assert_refused(lambda: read_checkpoint(tmp_path / "a.pth"), "a.pth")


@given(st.sampled_from(["archive", "plain"]), st.integers(0, 3999), st.integers(1, 255))
def test_a_changed_byte_gives_tensors_or_a_refusal(tmp_path_factory: pytest.TempPathFactory, name: str, place: int, change: int) -> None:
    content = bytearray((FILES / f"{name}.pth").read_bytes())
    content[place % len(content)] ^= change
    path = tmp_path_factory.mktemp("changed") / "a.pth"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        for each in read_checkpoint(path).values():
            assert each.read().shape == each.shape


def test_python_s_pickles_of_plain_values_and_the_last_bytes_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickled({"a": 1}))
    assert_refused(lambda: read_checkpoint(tmp_path / "a.pth"), "not a file of torch.save")
