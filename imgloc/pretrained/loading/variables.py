"""Published weights as variables of a model: which tensor becomes which variable, and in which layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imgloc.config.pretrained_fields import Pretrained
from imgloc.errors import UserError, listed
from imgloc.pretrained.loading.checkpoint import StoredTensor, read_checkpoint

LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
LAYOUTS = {4: (3, 2, 0, 1), 2: (1, 0)}  # the axes of PyTorch's kernels (o, i, h, w) and (o, i) in the order of ours, by their number
UNUSED = "num_batches_tracked"  # a counter of PyTorch's batch normalization
BACKBONE = "backbone/"  # the layer of a model that takes any backbone
CLASSES = "classes/"  # the layer whose size is the number of classes
MOST = 3  # names of a kind in a message

Shape = tuple[int, ...]


class Fault(NamedTuple):
    """Tensors that do not fit, for a message."""

    kind: str
    names: list[str]


def variables_from(weights: Pretrained, path: Path, shapes: Mapping[str, Shape], *, sectioned: bool, whole: bool) -> dict[str, np.ndarray]:
    """The variables of a model that a file has, by path, float32.

    `shapes` are those of all its variables by path, `params/stem/kernel`. `sectioned`: the model takes any backbone, whose variables are
    in `backbone/`; `whole`: it is `weights.model`, so that the file has its other layers too. The layer `classes` is left out if it has
    another number of classes. Raises UserError that names missing, extra and misshapen tensors.
    """
    stored = read_checkpoint(path)
    targets = _targets(shapes, sectioned=sectioned, whole=whole)
    names = max(weights.names, key=lambda each: sum(name in stored for name in _expected_tensors(targets, each).values()))
    expected = _expected_tensors(targets, names)
    fresh = {target for target in expected if target.startswith(CLASSES) and not _fits(stored, expected[target], shapes[targets[target]])}
    used = {target: name for target, name in expected.items() if target not in fresh}
    _check(path, stored, used, {target: shapes[targets[target]] for target in used}, names)
    return {targets[target]: _converted(path, name, stored[name], shapes[targets[target]]) for target, name in used.items()}


def classes_in(weights: Pretrained, path: Path) -> int:
    """The number of classes of the weights in a file. Raises UserError where it has none."""
    stored = read_checkpoint(path)
    names = [f"{each['classes']}.bias" for each in weights.names]
    found = next((stored[name] for name in names if name in stored), None)
    if found is None or len(found.shape) != 1:
        raise UserError(
            f"'{path}' has no tensor {' or '.join(map(repr, dict.fromkeys(names)))}; expected the weights of a whole classifier"
        )
    return found.shape[0]


def _targets(shapes: Mapping[str, Shape], *, sectioned: bool, whole: bool) -> dict[str, str]:
    """The paths of variables that a file may have, as the tables of names have them: without collection and `backbone/`."""
    targets = {}
    for full in shapes:
        path = full.partition("/")[2]
        if not sectioned or path.startswith(BACKBONE) or whole:
            targets[path.removeprefix(BACKBONE) if sectioned else path] = full
    return targets


def _expected_tensors(targets: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """The tensor of each variable that a table of names has."""
    expected = {}
    for target in targets:
        layer, _, leaf = target.rpartition("/")
        if target in names:
            expected[target] = names[target]
        elif layer in names and leaf in LEAVES:
            expected[target] = f"{names[layer]}.{LEAVES[leaf]}"
    return expected


def _torch_shape(shape: Shape) -> Shape:
    """The shape in PyTorch's layout of a variable of ours."""
    return tuple(shape[axis] for axis in LAYOUTS[len(shape)]) if len(shape) in LAYOUTS else shape


def _fits(stored: Mapping[str, StoredTensor], name: str, shape: Shape) -> bool:
    """Whether a tensor is there with the shape of a variable; axes of length 1 may differ: some layers are stored as 1x1 convolutions."""
    return name in stored and [n for n in stored[name].shape if n != 1] == [n for n in _torch_shape(shape) if n != 1]


def _check(
    path: Path, stored: Mapping[str, StoredTensor], used: Mapping[str, str], shapes: Mapping[str, Shape], names: Mapping[str, str]
) -> None:
    needed, layers = set(used.values()), {name.rpartition(".")[0] for name in used.values()}
    known = set(names.values())
    missing = [name for name in needed if name not in stored]
    misshapen = [
        f"{name} {stored[name].shape}, needed {_torch_shape(shapes[target])}"
        for target, name in used.items()
        if name in stored and not _fits(stored, name, shapes[target])
    ]
    extra = []
    for name in stored:
        layer, _, leaf = name.rpartition(".")
        # Layers that the model lacks, such as the classifier in a detector, are known by name.
        if leaf != UNUSED and name not in needed and name not in known and (layer in layers or layer not in known):
            extra.append(name)
    faults = [Fault("missing", sorted(missing)), Fault("extra", sorted(extra)), Fault("of another shape", misshapen)]
    shown = "; ".join(f"{len(each.names)} {each.kind}: {listed(each.names, MOST)}" for each in faults if each.names)
    if shown:
        raise UserError(f"the tensors in '{path}' do not fit the model: {shown}")


def _converted(path: Path, name: str, stored: StoredTensor, shape: Shape) -> np.ndarray:
    array = stored.read()
    if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
        raise UserError(f"tensor '{name}' in '{path}' is {array.dtype}, expected real numbers")
    if array.ndim in LAYOUTS:
        array = array.transpose(np.argsort(LAYOUTS[array.ndim]))
    values = np.ascontiguousarray(array, np.float32).reshape(shape)
    if not np.isfinite(values).all():
        raise UserError(f"tensor '{name}' in '{path}' contains NaN or infinity")
    return values
