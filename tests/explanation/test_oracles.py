"""Maps equal those of captum, pytorch-grad-cam and torchcam for one network with the same weights, recorded by write_oracles.py."""

from __future__ import annotations

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.explanation.question import Question
from imgloc.explanation.targets import class_logit, class_probability
from imgloc.nn.apply import apply_eval
from tests.explanation.small_networks import Network, maps_of

RECORDED = np.load(Path(__file__).parent / "oracles.npz")
LABELS = jnp.array([[1], [2]])
OPTIONS = {"occlusion": {"patch": 4 / 12, "stride": 2 / 12, "fill": 0.5}}
MAGNITUDE = ("gradient", "guided_backpropagation")  # captum keeps the channels, which these methods reduce to the largest magnitude


def asked(name: str) -> Question:
    params: dict[str, dict[str, np.ndarray]] = {}
    for key in RECORDED.files:
        layer, _, array = key.partition("/")
        if array in ("kernel", "bias"):
            params.setdefault(layer, {})[array] = RECORDED[key]
    objective = class_probability if name == "occlusion" else class_logit
    return Question(functools.partial(apply_eval, model=Network()), {"params": params}, objective, LABELS)


def test_the_network_has_the_same_outputs() -> None:
    np.testing.assert_allclose(asked("").outputs(RECORDED["images"])["logits"], RECORDED["logits"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("key", [key for key in RECORDED.files if key.startswith("captum/")])
def test_attributions_equal_those_of_captum(key: str) -> None:
    name = key.partition("/")[2]
    theirs = RECORDED[key]
    theirs = np.abs(theirs).max(-1) if name in MAGNITUDE else theirs[..., 0] if name == "occlusion" else theirs.sum(-1)
    ours = maps_of(name, asked(name), jnp.asarray(RECORDED["images"]), **OPTIONS.get(name, {}))
    assert np.abs(theirs).max() > 1e-4
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max(), rtol=1e-4)


def resize_with_aligned_corners(maps: jax.Array, shape: tuple[int, ...], _: str) -> jax.Array:
    weights = []
    for old, new in zip(maps.shape[1:], shape[1:], strict=True):
        distance = jnp.linspace(0, old - 1, new)[:, None] - jnp.arange(old)
        weights.append(jnp.maximum(1 - jnp.abs(distance), 0))
    return jnp.einsum("bhw,Hh,Ww->bHW", maps, *weights)


@pytest.mark.parametrize("key", [key for key in RECORDED.files if key.startswith("cam/")])
def test_class_activation_maps_equal_those_of_the_torch_programs(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = key.partition("/")[2].removeprefix("torchcam_")
    if name == "score_cam":  # the only difference: they enlarge masks so that corners are aligned
        monkeypatch.setattr(jax.image, "resize", resize_with_aligned_corners)
    theirs, ours = RECORDED[key], maps_of(name, asked(name), jnp.asarray(RECORDED["images"]))
    if name == "eigen_cam":  # the sign of a principal component is arbitrary, and theirs is recorded with both
        signs = [np.sign((image * our).sum()) for image, our in zip(theirs, ours, strict=True)]
        theirs = np.maximum(theirs * np.array(signs)[:, None, None], 0)
    assert theirs.max() > 0
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * theirs.max(), rtol=1e-4)
