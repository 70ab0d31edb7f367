"""The losses of a config, the checks of the outputs that they read, and the loss of a batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from ml_collections import ConfigDict

from imgloc.errors import UserError
from imgloc.training.objective import WeightedLoss, batch_loss, check_losses, make_losses
from imgloc.types import Batch

RNG = np.random.default_rng(0)
SIZE, CLASSES = 4, 5


def some_batch(**fields: Any) -> Batch:
    batch = Batch(
        images_bxhxwxc=np.zeros((SIZE, 2, 2, 1), np.uint8),
        boxes_bxnx4=np.tile(np.array([0.2, 0.2, 0.6, 0.8], np.float32), (SIZE, 1, 1)),
        labels_bxn=np.zeros((SIZE, 1), np.int32),
        object_mask_bxn=np.ones((SIZE, 1), bool),
        label_b=np.arange(SIZE, dtype=np.int32),
        example_mask_b=np.ones(SIZE, bool),
        content_bx4=np.tile(np.array([0, 0, 1, 1], np.float32), (SIZE, 1)),
    )
    return batch._replace(**fields)


def make(**entries: dict[str, Any]) -> tuple[WeightedLoss, ...]:
    return make_losses(ConfigDict({key: {"name": key, "weight": 1.0, **entry} for key, entry in entries.items()}))


def shapes(**outputs: Any) -> dict[str, Any]:
    return jax.tree.map(lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32), outputs, is_leaf=lambda node: isinstance(node, tuple))


def check(losses: tuple[WeightedLoss, ...], **outputs: Any) -> None:
    check_losses(losses, shapes(**outputs), "mine", SIZE, CLASSES)


def refusal(losses: tuple[WeightedLoss, ...], **outputs: Any) -> str:
    with pytest.raises(UserError) as caught:
        check(losses, **outputs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_losses_have_their_weights_options_and_outputs() -> None:
    first, second = make(
        box={"name": "box_l1", "weight": 4.0, "output": "first_box"}, cross_entropy={"label_smoothing": 0.5}, giou={"weight": 0.0}
    )
    assert (first.name, first.weight, dict(first.outputs)) == ("box", 4.0, {"first_box": ("b", 4)})
    assert (second.name, second.weight, dict(second.outputs)) == ("cross_entropy", 1.0, {"logits": ("b", "k")})
    assert dict(make(box_l1={})[0].outputs) == {"box": ("b", 4)}  # the default of the option


def test_losses_of_weight_0_alone_are_refused() -> None:
    with pytest.raises(UserError, match=r"every weight in config\.losses is 0; set at least one above 0"):
        make(cross_entropy={"weight": 0.0})


def test_an_option_that_losses_share_has_one_value() -> None:
    assert len(make(dense_class={"assignment": "fcos"}, dense_box={"assignment": "fcos"})) == 2
    both = r"losses\.dense_box\.assignment and losses\.dense_class\.assignment must be equal, got 'fcos' and 'task_aligned'"
    with pytest.raises(UserError, match=both):
        make(dense_class={}, dense_box={"assignment": "fcos"})
    assert len(make(dense_class={}, dense_box={"assignment": "fcos", "weight": 0.0})) == 1, "a loss that is off does not count"


def test_a_model_with_the_outputs_of_all_losses_is_accepted() -> None:
    check(make(cross_entropy={}, box_l1={}), logits=(SIZE, CLASSES), box=(SIZE, 4), features={"map": (SIZE, 7)})
    check(make(reinforce={}), logits=(SIZE, CLASSES), features={"log_probability": (SIZE, 6), "baselines": (SIZE, 6)})


def test_a_missing_output_is_refused_with_the_outputs_of_the_model() -> None:
    message = refusal(make(cross_entropy={}, box_l1={}), logits=(SIZE, CLASSES), features={"map": (SIZE, 7)})
    assert "loss 'box_l1' needs the output 'box'; model 'mine' returns logits, features/map;" in message
    assert "losses.box_l1.weight=0" in message
    assert "needs the output 'features/log_probability'" in refusal(make(reinforce={}), logits=(SIZE, CLASSES))
    assert "needs the output 'first_box'" in refusal(make(box_l1={"output": "first_box"}), box=(SIZE, 4))


def test_an_output_of_another_shape_is_refused_with_the_expected_one() -> None:
    cross_entropy = make(cross_entropy={})
    expected = f"loss 'cross_entropy' needs the output 'logits' of shape ({SIZE}, {CLASSES}), got "
    for shape in ((SIZE, CLASSES + 1), (SIZE + 1, CLASSES), (SIZE,), (SIZE, CLASSES, 1)):
        assert refusal(cross_entropy, logits=shape) == f"{expected}{shape}"
    assert "of shape (4, 4), got (4, 3)" in refusal(make(box_l1={}), box=(SIZE, 3))
    assert "of shape (4, c), got (4,)" in refusal(
        make(reinforce={}), logits=(SIZE, CLASSES), features={"log_probability": (SIZE,), "baselines": (SIZE, 6)}
    )


def test_the_loss_of_a_batch_is_the_weighted_sum_of_means() -> None:
    outputs = {"logits": RNG.standard_normal((SIZE, CLASSES)).astype(np.float32), "box": np.tile(np.float32(0.5), (SIZE, 4))}
    batch = some_batch()
    losses = make(cross_entropy={"weight": 2.0}, box_l1={"weight": 0.5})
    total, metrics = batch_loss(outputs, batch, losses)
    means = {loss.name: float(np.mean(loss.function(outputs, batch))) for loss in losses}
    assert float(metrics["loss/cross_entropy"]) == pytest.approx(means["cross_entropy"], rel=1e-6)
    assert float(metrics["loss/box_l1"]) == pytest.approx(means["box_l1"], rel=1e-6)
    assert float(total) == float(metrics["loss"]) == pytest.approx(2.0 * means["cross_entropy"] + 0.5 * means["box_l1"], rel=1e-6)


def test_cross_entropy_uses_the_soft_label_of_the_batch() -> None:
    logits = RNG.standard_normal((SIZE, CLASSES)).astype(np.float32) * 3
    soft = RNG.dirichlet(np.ones(CLASSES), SIZE).astype(np.float32)
    losses = make(cross_entropy={})

    def loss(batch: Batch) -> float:
        return float(batch_loss({"logits": logits}, batch, losses)[0])

    log_probability = scipy.special.log_softmax(logits.astype(np.float64), axis=-1)
    assert loss(some_batch(soft_label_bxk=soft)) == pytest.approx(-(soft * log_probability).sum(axis=-1).mean(), rel=1e-5)
    assert loss(some_batch()) == pytest.approx(-log_probability[np.arange(SIZE), np.arange(SIZE)].mean(), rel=1e-5)
    one_hot = np.eye(CLASSES, dtype=np.float32)[:SIZE]
    assert loss(some_batch(soft_label_bxk=one_hot)) == loss(some_batch())


def test_soft_labels_of_padding_do_not_count() -> None:
    logits = RNG.standard_normal((SIZE, CLASSES)).astype(np.float32)
    soft = RNG.dirichlet(np.ones(CLASSES), SIZE).astype(np.float32)
    padded = some_batch(soft_label_bxk=np.where(np.arange(SIZE)[:, None] < 3, soft, np.nan), example_mask_b=np.arange(SIZE) < 3)
    log_probability = scipy.special.log_softmax(logits.astype(np.float64), axis=-1)
    loss, gradient = jax.value_and_grad(lambda x: batch_loss({"logits": x}, padded, make(cross_entropy={}))[0])(logits)
    assert float(loss) == pytest.approx(-(soft * log_probability).sum(axis=-1)[:3].mean(), rel=1e-5)
    assert np.isfinite(gradient).all()
    assert not np.any(gradient[3])


def test_a_loss_of_another_shape_is_refused() -> None:
    wrong = WeightedLoss("scalar", 1.0, lambda outputs, batch: jnp.float32(0.0))
    with pytest.raises(ValueError, match="must return one number for each example"):
        batch_loss({}, some_batch(), [wrong])
