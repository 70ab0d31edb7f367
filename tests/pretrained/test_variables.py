"""Which tensor becomes which variable: missing, extra and misshapen tensors are named, and layouts are PyTorch's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from imgloc.config.pretrained_fields import Pretrained
from imgloc.pretrained.loading.variables import classes_in, variables_from
from tests.refusals import assert_refused

WEIGHTS = Pretrained(
    model="whole", backbone="small", fields={}, size=(32, 32), source="https://example.org",
    names=(
        {"stem": "conv", "norm": "bn", "block/scale_of_layer": "block.gamma", "head": "head", "classes": "fc"},
        {"stem": "stem.0", "norm": "stem.1", "block/scale_of_layer": "block.0.scale", "head": "head.0", "classes": "head.1"},
    ),
)  # fmt: skip
SHAPES = {
    "params/stem/kernel": (3, 5, 2, 4), "params/norm/scale": (4,), "params/norm/bias": (4,), "batch_stats/norm/mean": (4,),
    "batch_stats/norm/var": (4,), "params/block/scale_of_layer": (4,), "params/head/kernel": (4, 6), "params/head/bias": (6,),
    "params/classes/kernel": (6, 7), "params/classes/bias": (7,), "params/box/kernel": (6, 4),
}  # fmt: skip
TENSORS = {
    "conv.weight": (4, 2, 3, 5), "bn.weight": (4,), "bn.bias": (4,), "bn.running_mean": (4,), "bn.running_var": (4,),
    "bn.num_batches_tracked": (),
    "block.gamma": (4, 1, 1), "head.weight": (6, 4, 1, 1), "head.bias": (6,), "fc.weight": (7, 6), "fc.bias": (7,),
}  # fmt: skip


def written(tmp_path: Path, shapes: dict[str, tuple[int, ...]] | None = None, **changes: Any) -> Path:
    """A file of tensors with distinct values, float16 to be converted."""
    tensors, count = {}, 0
    for name, shape in (shapes or {**TENSORS, **changes}).items():
        if shape is not None:
            tensors[name] = np.arange(count, count + int(np.prod(shape))).reshape(shape).astype(np.float16)
            count += int(np.prod(shape))
    save_file(tensors, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def load(path: Path, *, shapes: Any = SHAPES, sectioned: bool = False, whole: bool = True) -> dict[str, np.ndarray]:
    return variables_from(WEIGHTS, path, shapes, sectioned=sectioned, whole=whole)


def test_kernels_have_our_layout_and_other_layers_are_left_out(tmp_path: Path) -> None:
    loaded = load(written(tmp_path))
    assert set(loaded) == set(SHAPES) - {"params/box/kernel"}
    assert {name: array.shape for name, array in loaded.items()} == {name: SHAPES[name] for name in loaded}
    assert {array.dtype for array in loaded.values()} == {np.dtype(np.float32)}
    conv = np.arange(120).reshape(4, 2, 3, 5)
    for index in np.ndindex(3, 5, 2, 4):
        h, w, i, o = index
        assert loaded["params/stem/kernel"][index] == conv[o, i, h, w]
    head, fc = (loaded[f"params/{name}/kernel"] for name in ("head", "classes"))
    assert head[1, 0] - head[0, 0] == 1  # rows of PyTorch's are outputs
    assert fc[1, 0] - fc[0, 0] == 1
    assert fc[0, 1] - fc[0, 0] == 6


def test_the_naming_of_the_file_is_found(tmp_path: Path) -> None:
    renamed = {
        "conv.weight": "stem.0.weight", "bn": "stem.1", "block.gamma": "block.0.scale", "head.": "head.0.", "fc.": "head.1.",
    }  # fmt: skip
    shapes = {}
    for name, shape in TENSORS.items():
        found = next((new + name.removeprefix(old) for old, new in renamed.items() if name.startswith(old)), name)
        shapes[found] = shape
    assert set(load(written(tmp_path, shapes))) == set(SHAPES) - {"params/box/kernel"}
    assert classes_in(WEIGHTS, written(tmp_path, shapes)) == classes_in(WEIGHTS, written(tmp_path)) == 7


def test_another_number_of_classes_leaves_the_classifier_out(tmp_path: Path) -> None:
    loaded = load(written(tmp_path, **{"fc.weight": (9, 6), "fc.bias": (9,)}))
    assert "params/head/kernel" in loaded
    assert not [name for name in loaded if "classes" in name]


def test_a_model_of_any_backbone_takes_the_layers_of_the_backbone_alone(tmp_path: Path) -> None:
    inside = {name.replace("/", "/backbone/", 1): shape for name, shape in SHAPES.items() if "/box/" not in name and "/head/" not in name}
    detector = {**inside, "params/head/kernel": (1, 1), "params/pyramid/kernel": (1, 1, 4, 4)}
    assert set(load(written(tmp_path), shapes=detector, sectioned=True, whole=False)) == set(inside)
    whole = {**inside, "params/head/kernel": (4, 6), "params/head/bias": (6,)}
    assert set(load(written(tmp_path), shapes=whole, sectioned=True)) == set(whole)


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"bn.weight": None, "bn.running_var": None}, ("2 missing: bn.running_var, bn.weight",)),
        ({"conv.bias": (4,), "conv2.weight": (1, 1)}, ("2 extra: conv.bias, conv2.weight",)),
        ({"conv.weight": (4, 1, 3, 5)}, ("1 of another shape: conv.weight (4, 1, 3, 5), needed (4, 2, 3, 5)",)),
        ({"head.weight": (4, 6)}, ("head.weight (4, 6), needed (6, 4)",)),
        (
            {"bn.bias": None, "a.b": (1,), "bn.running_mean": (5,)},
            ("1 missing: bn.bias", "1 extra: a.b", "bn.running_mean (5,), needed (4,)"),
        ),
        ({f"x.{i}": (1,) for i in range(9)}, ("9 extra: x.0, x.1, x.2, ...",)),
    ],
)
def test_tensors_that_do_not_fit_are_named(changes: dict[str, Any], messages: tuple[str, ...], tmp_path: Path) -> None:
    assert_refused(lambda: load(written(tmp_path, **changes)), "a.safetensors", "do not fit the model", *messages)


def test_values_that_are_not_finite_or_not_numbers_are_refused(tmp_path: Path) -> None:
    tensors = {name: np.zeros(shape, np.float32) for name, shape in TENSORS.items()}
    tensors["head.bias"][2] = np.nan
    save_file(tensors, tmp_path / "a.safetensors")
    assert_refused(lambda: load(tmp_path / "a.safetensors"), "head.bias", "NaN")
    save_file({**tensors, "head.bias": np.zeros(6, np.bool_)}, tmp_path / "a.safetensors")
    assert_refused(lambda: load(tmp_path / "a.safetensors"), "head.bias", "bool")
    assert_refused(lambda: classes_in(WEIGHTS, written(tmp_path, {"conv.weight": (4, 2, 3, 5)})), "'fc.bias' or 'head.1.bias'")
