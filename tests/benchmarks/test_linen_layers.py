"""Models with linen's layers have the same parameters and outputs. Each side runs in a new process, as layers are replaced."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import linen_layers
from imgloc.config import registry
from imgloc.config.build import fit_of, model_class
from imgloc.nn.apply import reads_videos
from tests import processes

# Values of parameters depend only on their names and shapes, so they are the same on both sides.
CODE = """
import dataclasses, pickle, sys, zlib
from pathlib import Path
side, out = sys.argv[1:]
if side == "linen":
    from benchmarks.linen_layers import replace_layers
    replace_layers()
import jax, jax.numpy as jnp
import numpy as np
from imgloc.config import registry
from benchmarks import jax_side, works
from imgloc.nn import conv
from imgloc.nn.apply import reads_videos

def value_of(path, leaf):
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    if name.endswith(("scale", "var", "mean")):
        return np.full(leaf.shape, float(not name.endswith("mean")), leaf.dtype)
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return np.zeros(leaf.shape, leaf.dtype)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return (rng.standard_normal(leaf.shape) / np.sqrt(max(1, np.prod(leaf.shape[:-1])))).astype(leaf.dtype)

results = {"layer": conv.Conv.__module__, "cells": set()}
for name in ("elman", "lstm", "gru", "minimal_gru", "conv_lstm"):
    results["cells"].add(getattr(registry.find("nn.cells", name), name).__module__)
results["cells"].add(registry.find("nn.cells", "irnn").elman.__module__)
for work in (works.THREE_LAYER_CNN, works.DIGITS, works.LSTM):  # a whole step
    work = dataclasses.replace(work, batch=2, classes=10, size=40 if work is works.THREE_LAYER_CNN else work.size)
    init, one_step = jax_side.train_functions(work, "cpu")
    state = jax.eval_shape(init, 0)
    state = state._replace(
        step=jnp.int32(0), seed=jnp.uint32(0), params=jax.tree_util.tree_map_with_path(value_of, state.params),
        opt_state=jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state.opt_state),
    )
    results[work.name] = {"params": state.params, **jax.jit(one_step)(state, jax_side.make_batch(work))[1]}
images = np.random.default_rng(0).random((2, 64, 64, 1), np.float32)
for name in registry.names("models"):  # a forward pass
    module = registry.find("models", name)
    if hasattr(module, "FIT"):  # it has no layers
        continue
    model = module.Model(num_classes=3, **module.TINY)
    if reads_videos(model):
        continue
    shapes = jax.eval_shape(lambda: model.init(dict.fromkeys(("params", "dropout"), jax.random.key(0)), images, train=False))
    variables = jax.tree_util.tree_map_with_path(value_of, shapes)
    outputs = jax.jit(lambda v: model.apply(v, images, train=False))(variables)
    results[name] = {"params": variables["params"], **{k: v for k, v in outputs.items() if k not in ("features", "partial_predictions")}}
Path(out).write_bytes(pickle.dumps(jax.device_get(results)))
"""


def outputs(side: str, out: Path, cache: Path) -> dict[str, Any]:
    command = [sys.executable, "-c", CODE, side, str(out)]
    environment = {**processes.environment(cache), **processes.HASTE}
    done = subprocess.run(command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = pickle.loads(out.read_bytes())
    return results


def paths(tree: Any) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every parameter by its path."""
    if not hasattr(tree, "items"):
        return {"": tree.shape}
    return {f"{key}/{path}": shape for key, value in tree.items() for path, shape in paths(value).items()}


def test_with_the_same_parameters_outputs_are_the_same(tmp_path: Path, cache: Path) -> None:
    ours, theirs = (outputs(side, tmp_path / side, cache) for side in ("imgloc", "linen"))
    assert ours.pop("layer").startswith("imgloc.")
    assert theirs.pop("layer").startswith("flax.")
    assert len(ours.pop("cells")) == 5
    assert theirs.pop("cells") == {"benchmarks.linen_cells"}
    networks = [name for name in registry.names("models") if fit_of(name) is None and not reads_videos(model_class(name)(num_classes=3))]
    assert set(ours) == set(theirs) == {"three_layer_cnn_224", "digits_cnn_64", "lstm_28", *networks}
    for name, one in ours.items():
        assert paths(one.pop("params")) == paths(theirs[name].pop("params")), name
        assert set(one) == set(theirs[name])
        assert {"grad_norm", "logits", "scores"} & set(one)
        for key, value in one.items():
            assert np.abs(value).max() > 1e-4, f"{name} {key}"
            np.testing.assert_allclose(theirs[name][key], value, rtol=1e-4, atol=1e-4, err_msg=f"{name} {key}")


def test_models_imported_too_early_are_refused() -> None:
    import imgloc.models.three_layer_cnn  # noqa: F401

    with pytest.raises(RuntimeError, match="is imported already"):
        linen_layers.replace_layers()
