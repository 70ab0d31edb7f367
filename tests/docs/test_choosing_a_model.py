"""The numbers of parameters in docs/choosing_a_model.md are those of the models."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp

from imgloc.config.registry import find, names
from tests import processes

ROW = re.compile(r"^\| `(\w+)` \| .* \| ([\d,]+) \|$", re.MULTILINE)


def test_each_model_has_its_number_of_parameters() -> None:
    rows = dict(ROW.findall((processes.ROOT / "docs" / "choosing_a_model.md").read_text()))
    assert set(rows) == set(names("models"))
    for name, shown in rows.items():
        model = find("models", name).Model(num_classes=10, **({"locate": True} if name == "ram" else {}))
        rngs = {"params": jax.random.key(0), "dropout": jax.random.key(0)}
        variables = jax.eval_shape(lambda rngs=rngs, model=model: model.init(rngs, jnp.zeros((1, 64, 64, 3)), train=True))
        assert shown == f"{sum(leaf.size for leaf in jax.tree.leaves(variables['params'])):,}", name
