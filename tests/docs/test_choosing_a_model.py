"""The tables of models name all of them, and the numbers of parameters in docs/choosing_a_model.md are those of the networks."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp

from imgloc.config.build import fit_of
from imgloc.config.registry import find, names
from imgloc.nn.apply import blank_input
from tests import processes

ROW = re.compile(r"^\| `(\w+)` \| .* \| ([\d,]+) \|$", re.MULTILINE)


def test_each_model_has_its_number_of_parameters() -> None:
    rows = dict(ROW.findall((processes.ROOT / "docs" / "choosing_a_model.md").read_text()))
    assert set(rows) == {name for name in names("models") if fit_of(name) is None}
    for name, shown in rows.items():
        model = find("models", name).Model(num_classes=10, **({"locate": True} if name == "ram" else {}))
        rngs = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
        images = blank_input(model, 1, (64, 64, 3), jnp.float32)
        variables = jax.eval_shape(lambda rngs=rngs, model=model, images=images: model.init(rngs, images, train=True))
        assert shown == f"{sum(leaf.size for leaf in jax.tree.leaves(variables['params'])):,}", name


def test_the_page_of_classical_models_names_each_of_them_and_each_descriptor() -> None:
    page = (processes.ROOT / "docs" / "classical.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(rows) == sorted([*(name for name in names("models") if fit_of(name) is not None), *names("models.descriptors")])
