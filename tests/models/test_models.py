"""Properties of single models beyond the contract of all models."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.models import recurrent, three_layer_cnn

IMAGES = jax.random.uniform(jax.random.key(0), (2, 64, 64, 1))


def outputs(model: Any) -> dict[str, Any]:
    return dict(jax.jit(lambda key: model.init_with_output(key, IMAGES, train=False)[0])(jax.random.key(1)))


class PublishedCnn(nn.Module):
    """The published CNN from linen's layers."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for index, features in enumerate((32, 64, 128)):
            x = nn.max_pool(nn.relu(nn.Conv(features, (3, 3), padding="VALID", name=f"Conv_{index}")(x)), (2, 2), (2, 2))
        x = nn.relu(nn.Dense(512, name="Dense_0")(x.reshape(x.shape[0], -1)))
        return nn.softmax(nn.Dense(10, name="classes")(x))


def test_the_three_layer_cnn_equals_the_published_one() -> None:
    model = three_layer_cnn.Model(num_classes=10, locate=False)
    variables = jax.jit(lambda key: model.init(key, IMAGES, train=False))(jax.random.key(1))
    ours = nn.softmax(model.apply(variables, IMAGES, train=False)["logits"])
    np.testing.assert_allclose(ours, PublishedCnn().apply(variables, IMAGES), atol=1e-5)


@pytest.mark.parametrize(
    "field", [{"activation": "sigmoid"}, {"pooling": "average"}, {"kernel_size": 5}, {"channels": (4, 4, 4)}, {"hidden": 16}]
)
def test_the_fields_of_the_three_layer_cnn_change_its_outputs(field: dict[str, Any]) -> None:
    small = {"channels": (4, 8), "hidden": 8}
    changed, plain = (
        outputs(three_layer_cnn.Model(num_classes=10, **{**small, **field})),
        outputs(three_layer_cnn.Model(num_classes=10, **small)),
    )
    assert np.abs(changed["logits"] - plain["logits"]).max() > 1e-4
    assert "box" not in outputs(three_layer_cnn.Model(num_classes=10, **small, locate=False))


@pytest.mark.parametrize("cell", ["lstm", "elman"])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_recurrent_models_predict_a_class_and_a_valid_box(cell: str, activation: str) -> None:
    predictions = outputs(recurrent.Model(num_classes=10, cell={"name": cell, "activation": activation}, features=8, hidden=8))
    assert predictions["logits"].shape == (2, 10)
    low, high = predictions["box"][:, :2], predictions["box"][:, 2:]
    assert bool(jnp.all((low >= 0) & (low < high) & (high <= 1)))
    assert predictions["features"]["rows"].shape == (2, 64, 8)


@pytest.mark.parametrize(
    "model",
    [
        three_layer_cnn.Model(num_classes=10, activation="tanhh"),
        three_layer_cnn.Model(num_classes=10, pooling="median"),
        recurrent.Model(num_classes=10, cell={"name": "grru"}),
        recurrent.Model(num_classes=10, cell={"name": "lstm", "activation": "relu6"}),
    ],
)
def test_unknown_choices_are_refused(model: Any) -> None:
    with pytest.raises(UserError, match="possible"):
        outputs(model)
