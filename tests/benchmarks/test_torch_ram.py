"""PyTorch's recurrent attention has imgloc's outputs, loss and gradients for the same weights and random numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import works
from imgloc.losses import cross_entropy, reinforce
from imgloc.models import ram
from imgloc.nn.apply import apply_train
from imgloc.training.objective import WeightedLoss, batch_loss
from imgloc.types import Batch

torch = pytest.importorskip("torch", reason="torch is not installed")

B, GLIMPSES = 5, 4
FIELDS = {"glimpses": GLIMPSES, "size": 4, "scales": 3, "units": 12, "glimpse_hidden": 8}


def test_it_is_the_same_model(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import torch_ram

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (B, 20, 14, 1), dtype=np.uint8)
    labels = np.array([0, 1, 2, 0, 1], np.int32)
    uniform = rng.random((B, GLIMPSES, 2), np.float32)
    normal = 3 * rng.standard_normal((B, GLIMPSES, 2), np.float32)  # some locations are beyond the edge
    monkeypatch.setattr(ram, "_random", lambda keys_b, glimpses: (jnp.asarray(uniform), jnp.asarray(normal)))

    model = ram.Model(num_classes=3, **FIELDS)
    params = model.init(jax.random.key(0), images / np.float32(255), train=False)["params"]
    params = jax.tree.map(lambda a: a + 0.3 * rng.standard_normal(a.shape, np.float32), params)
    ones: Any = np.ones(B, np.bool_)
    batch = Batch(images, np.zeros((B, 1, 4)), np.zeros((B, 1), np.int32), ones[:, None], labels, ones, np.zeros((B, 4)))
    losses = (WeightedLoss("cross_entropy", 1.0, cross_entropy.loss), WeightedLoss("reinforce", 1.0, reinforce.loss))

    def loss_of(params: Any) -> Any:
        outputs, _ = apply_train(params, {}, batch, jax.random.key(0), model=model)
        return batch_loss(outputs, batch, losses)[0], outputs

    (value, outputs), gradients = jax.jit(jax.value_and_grad(loss_of, has_aux=True))(params)

    other = torch_ram.RAM(1, 3, **FIELDS)
    for name, layer in params["network"].items():
        weights = {"weight": np.array(layer["kernel"].T), "bias": np.array(layer["bias"])}
        getattr(other, name).load_state_dict({key: torch.from_numpy(array) for key, array in weights.items()})
    inputs = torch.from_numpy(images / np.float32(255)).permute(0, 3, 1, 2)
    locations = jnp.asarray(outputs["features"]["places"])
    assert ((locations == 0) | (locations == 1)).any()
    torch_outputs = other(inputs, torch.from_numpy(uniform[:, 0]), torch.from_numpy(normal[:, 1:]))
    theirs = torch_ram.loss(torch_outputs, torch.from_numpy(labels).long())
    theirs.backward()

    np.testing.assert_allclose(torch_outputs.logits.detach(), outputs["logits"], atol=1e-4)
    np.testing.assert_allclose(torch_outputs.log_probability.detach(), outputs["features"]["log_probability"], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(torch_outputs.baselines.detach(), outputs["features"]["baselines"], atol=1e-4)
    np.testing.assert_allclose(theirs.item(), value, rtol=1e-4)
    for name, layer in gradients["network"].items():
        linear = getattr(other, name)
        largest = np.abs(layer["kernel"]).max()
        assert largest > 1e-3, name
        np.testing.assert_allclose(linear.weight.grad.T, layer["kernel"], atol=1e-4 * largest, rtol=1e-3, err_msg=name)
        np.testing.assert_allclose(linear.bias.grad, layer["bias"], atol=1e-4 * largest, rtol=1e-3, err_msg=name)


def test_it_draws_random_numbers_and_takes_steps() -> None:
    from benchmarks import torch_models, torch_side

    model = torch_models.make_model(works.RAM_MNIST)
    images = torch.rand(2, 1, 28, 28)
    assert not torch.equal(model(images).log_probability, model(images).log_probability)
    prepared = torch_side.make(dataclasses.replace(works.RAM_CLUTTERED, batch=2), "torch_eager", platform="cpu")
    prepared.run(2)
    assert prepared.parameters == sum((inputs + 1) * units for inputs, units in (
        (3 * 144, 128), (2, 128), (256, 256), (512, 256), (256, 10), (256, 128), (128, 2), (128, 1),
    ))  # fmt: skip
