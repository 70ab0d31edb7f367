"""Losses against values computed by hand, SciPy, shapely and finite differences; padding changes nothing."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import shapely
from jax.test_util import check_grads

from imgloc.losses import box_l1, ciou, cross_entropy, diou, giou, iou
from imgloc.training.objective import WeightedLoss, batch_loss
from imgloc.types import Batch

RNG = np.random.default_rng(0)


def some_boxes(n: int, rng: np.random.Generator) -> np.ndarray:
    low = rng.uniform(0, 0.5, (n, 2))
    return np.concatenate([low, low + rng.uniform(0.1, 0.5, (n, 2))], axis=1).astype(np.float32)


def some_batch(n: int = 6, objects: int = 2, seed: int = 0) -> tuple[dict[str, np.ndarray], Batch]:
    rng = np.random.default_rng(seed)
    batch = Batch(
        images_bxhxwxc=np.zeros((n, 4, 4, 1), np.uint8),
        boxes_bxnx4=some_boxes(n * objects, rng).reshape(n, objects, 4),
        labels_bxn=rng.integers(0, 5, (n, objects)).astype(np.int32),
        object_mask_bxn=np.ones((n, objects), bool),
        label_b=rng.integers(0, 5, n).astype(np.int32),
        example_mask_b=np.ones(n, bool),
        content_bx4=np.tile(np.array([0, 0, 1, 1], np.float32), (n, 1)),
    )
    return {"logits": rng.standard_normal((n, 5)).astype(np.float32) * 3, "box": some_boxes(n, rng)}, batch


LOSSES = {
    "cross_entropy": WeightedLoss("cross_entropy", 1.0, lambda o, b: cross_entropy.loss(o, b, label_smoothing=0.1)),
    "box_l1": WeightedLoss("box_l1", 4.0, box_l1.loss),
    "giou": WeightedLoss("giou", 2.0, giou.loss),
    "iou": WeightedLoss("iou", 1.0, iou.loss),
    "diou": WeightedLoss("diou", 0.5, diou.loss),
    "ciou": WeightedLoss("ciou", 1.0, ciou.loss),
}


def test_cross_entropy_by_hand() -> None:
    outputs = {"logits": jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))}
    batch = some_batch(2)[1]._replace(label_b=np.array([0, 1], np.int32))
    np.testing.assert_allclose(cross_entropy.loss(outputs, batch), -np.log([0.5, 0.1]), rtol=1e-6)
    smoothed = -(0.7 * np.log(0.5) + 0.1 * (np.log(0.5) + 2 * np.log(0.25)))  # 0.7 + 0.3 / 3 of the true class
    assert cross_entropy.loss(outputs, batch, label_smoothing=0.3)[0] == pytest.approx(smoothed, rel=1e-6)


def test_cross_entropy_of_another_output() -> None:
    outputs, batch = some_batch(6)
    outputs["second_logits"] = outputs["logits"][:, ::-1]
    expected = cross_entropy.loss({"logits": outputs["second_logits"]}, batch)
    np.testing.assert_array_equal(cross_entropy.loss(outputs, batch, output="second_logits"), expected)
    assert not np.allclose(expected, cross_entropy.loss(outputs, batch))


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 1.0])
def test_cross_entropy_against_scipy(smoothing: float) -> None:
    outputs, batch = some_batch(20)
    outputs["logits"] *= 50  # exp() of these would overflow
    target = (1 - smoothing) * np.eye(5)[batch.label_b] + smoothing / 5
    expected = -(target * scipy.special.log_softmax(outputs["logits"].astype(np.float64), axis=1)).sum(axis=1)
    np.testing.assert_allclose(cross_entropy.loss(outputs, batch, label_smoothing=smoothing), expected, rtol=1e-4, atol=1e-5)


def test_box_l1_by_hand_and_against_numpy() -> None:
    outputs, batch = some_batch(20)
    expected = np.abs(outputs["box"] - batch.boxes_bxnx4[:, 0]).sum(axis=1) / 4
    np.testing.assert_allclose(box_l1.loss(outputs, batch), expected, rtol=1e-6)
    by_hand = {"box": np.array([[0.0, 0.1, 0.5, 1.0]])}
    one = some_batch(1)[1]._replace(boxes_bxnx4=np.array([[[0.2, 0.1, 0.4, 0.6]]]), object_mask_bxn=np.array([[True]]))
    assert box_l1.loss(by_hand, one)[0] == pytest.approx((0.2 + 0 + 0.1 + 0.4) / 4)


def test_giou_against_shapely() -> None:
    outputs, batch = some_batch(60)
    loss_b = np.asarray(giou.loss(outputs, batch))
    for value, box, truth in zip(loss_b, outputs["box"], batch.boxes_bxnx4[:, 0], strict=True):
        p, q = shapely.box(*box), shapely.box(*truth)
        hull = shapely.envelope(shapely.GeometryCollection([p, q])).area
        union = p.union(q).area
        assert value == pytest.approx(1 - p.intersection(q).area / union + (hull - union) / hull, abs=1e-5)
    assert loss_b.min() < 0.6
    assert loss_b.max() > 1.0
    np.testing.assert_allclose(giou.loss({"box": batch.boxes_bxnx4[:, 0]}, batch), 0, atol=1e-6)


def by_hand(guess: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """The losses of two boxes in pixels by the equations of arXiv:1911.08287, one box at a time."""
    (a0, b0, a1, b1), (c0, d0, c1, d1) = guess.tolist(), truth.tolist()
    overlap = max(0.0, min(a1, c1) - max(a0, c0)) * max(0.0, min(b1, d1) - max(b0, d0))
    similarity = overlap / ((a1 - a0) * (b1 - b0) + (c1 - c0) * (d1 - d0) - overlap)
    squared = ((a0 + a1 - c0 - c1) ** 2 + (b0 + b1 - d0 - d1) ** 2) / 4
    distance = squared / ((max(a1, c1) - min(a0, c0)) ** 2 + (max(b1, d1) - min(b0, d0)) ** 2)
    aspect = 4 / np.pi**2 * (np.arctan((c1 - c0) / (d1 - d0)) - np.arctan((a1 - a0) / (b1 - b0))) ** 2
    weight = aspect / (1 - similarity + aspect)
    return {"iou": 1 - similarity, "diou": 1 - similarity + distance, "ciou": 1 - similarity + distance + weight * aspect}


@pytest.mark.parametrize("name", ["iou", "diou", "ciou"])
def test_box_losses_are_those_of_their_equations_in_pixels_of_the_input(name: str) -> None:
    outputs, batch = some_batch(40)
    wide = batch._replace(images_bxhxwxc=np.zeros((40, 6, 10, 1), np.uint8))
    for shown, unit in ((batch, [4, 4, 4, 4]), (wide, [10, 6, 10, 6])):
        pairs = zip(outputs["box"].astype(np.float64) * unit, batch.boxes_bxnx4[:, 0].astype(np.float64) * unit, strict=True)
        expected = [by_hand(*pair)[name] for pair in pairs]
        np.testing.assert_allclose(LOSSES[name].function(outputs, shown), expected, rtol=1e-4, atol=1e-5)
    same = np.allclose(LOSSES[name].function(outputs, wide), LOSSES[name].function(outputs, batch), rtol=1e-4)
    assert same == (name == "iou"), "the IoU alone does not depend on the unit"


# Two boxes and their truths in pixels of an image of 64x64, and the values and gradients of `box_iou`, `distance_box_iou_loss` and
# `complete_box_iou_loss` of torchvision 0.28 in float64.
PAIRS = np.array([[[10.0, 12.0, 40.0, 30.0], [16.0, 8.0, 44.0, 36.0]], [[2.0, 3.0, 12.0, 33.0], [30.0, 20.0, 60.0, 40.0]]])
TORCHVISION = {
    "iou": ([0.5156950673, 1.0], [[-0.00977296949, 0.0236481731, -0.0201793722, -0.0236481731], [0.0, 0.0, 0.0, 0.0]]),
    "diou": (
        [0.5290971292, 1.335516586],
        [[-0.0118805261, 0.0231327092, -0.0227566918, -0.024163637], [0.000194363815, 0.00271037975, -0.00802873442, -0.00253538982]],
    ),
    "ciou": (
        [0.5301926615, 1.362162227],
        [[-0.012012054, 0.0233519224, -0.0226251638, -0.0243828502], [0.00261287227, 0.00190421026, -0.0104472429, -0.00172922033]],
    ),
}


@pytest.mark.parametrize("name", ["iou", "diou", "ciou"])
def test_box_losses_and_gradients_are_those_of_torchvision(name: str) -> None:
    batch = some_batch(2)[1]._replace(images_bxhxwxc=np.zeros((2, 64, 64, 1), np.uint8), boxes_bxnx4=np.float32(PAIRS[:, 1:] / 64))
    one = batch._replace(object_mask_bxn=np.ones((2, 1), bool))
    values, gradients = TORCHVISION[name]
    guess = np.float32(PAIRS[:, 0] / 64)
    np.testing.assert_allclose(LOSSES[name].function({"box": guess}, one), values, rtol=1e-5)
    gradient = jax.grad(lambda box: LOSSES[name].function({"box": box}, one).sum())(guess)
    np.testing.assert_allclose(np.asarray(gradient) / 64, gradients, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("module", [box_l1, giou, iou, diou, ciou])
def test_the_option_output_selects_the_box(module: Any) -> None:
    outputs, batch = some_batch()
    other = {"box": outputs["box"] * 0, "first_box": outputs["box"]}
    np.testing.assert_array_equal(module.loss(other, batch, output="first_box"), module.loss(outputs, batch))
    assert not np.array_equal(module.loss(other, batch), module.loss(outputs, batch))


@pytest.mark.parametrize("name", ["box_l1", "giou", "iou", "diou", "ciou"])
def test_only_the_largest_object_counts_and_images_without_one_have_no_loss_and_no_gradient(name: str) -> None:
    outputs, batch = some_batch()
    loss = LOSSES[name].function
    changed = batch._replace(boxes_bxnx4=np.stack([batch.boxes_bxnx4[:, 0], RNG.random((6, 4), np.float32)], axis=1))
    np.testing.assert_array_equal(loss(outputs, batch), loss(outputs, changed))
    mask = batch.object_mask_bxn.copy()
    mask[[1, 4]] = False
    boxes = np.where(mask[..., None], batch.boxes_bxnx4, 0.0).astype(np.float32)  # as the pipeline fills them
    empty = batch._replace(object_mask_bxn=mask, boxes_bxnx4=boxes)
    loss_b = np.asarray(loss(outputs, empty))
    assert (loss_b[[1, 4]] == 0).all()
    assert (loss_b[[0, 2, 3, 5]] > 0).all()
    gradient = np.asarray(jax.grad(lambda box: loss({"box": box}, empty).sum())(outputs["box"]))
    assert (gradient[[1, 4]] == 0).all()
    assert np.isfinite(gradient).all()
    apart = [False] * 6 if name != "iou" else (loss_b == 1).tolist()  # the gradient of IoU is zero there
    assert [bool(np.abs(part).sum()) for part, away in zip(gradient, apart, strict=True) if not away].count(True) == 4 - sum(apart)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "ciou"])
def test_gradients_equal_finite_differences(name: str) -> None:
    outputs, batch = some_batch(8)
    outputs["logits"] /= 3

    def total(logits: Any, box: Any) -> Any:
        return LOSSES[name].function({"logits": logits, "box": box}, batch)

    check_grads(jax.jit(total), (outputs["logits"], outputs["box"]), order=1, modes=("rev", "fwd"), eps=1e-3, atol=2e-2, rtol=2e-2)


def test_the_gradient_of_complete_iou_keeps_its_weight_constant() -> None:
    outputs, batch = some_batch(8)
    truth = batch.boxes_bxnx4[:, 0].astype(np.float64)

    def value(box: np.ndarray, weighted_by: np.ndarray) -> np.ndarray:
        parts = [by_hand(*pair) for pair in zip(box, truth, strict=True)]
        angles = [np.arctan2(each[:, 2] - each[:, 0], each[:, 3] - each[:, 1]) for each in (box, truth)]
        aspect = 4 / np.pi**2 * (angles[0] - angles[1]) ** 2
        return np.array([part["diou"] for part in parts]) + weighted_by * aspect

    box, step = outputs["box"].astype(np.float64), 1e-6
    angles = [np.arctan2(each[:, 2] - each[:, 0], each[:, 3] - each[:, 1]) for each in (box, truth)]
    aspect = 4 / np.pi**2 * (angles[0] - angles[1]) ** 2
    weight = aspect / (np.array([by_hand(*pair)["iou"] for pair in zip(box, truth, strict=True)]) + aspect)
    expected = [(value(box + step * side, weight) - value(box - step * side, weight)) / (2 * step) for side in np.eye(4)]
    gradient = jax.grad(lambda box: ciou.loss({"box": box}, batch).sum())(outputs["box"])
    np.testing.assert_allclose(gradient, np.transpose(expected), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_an_example_does_not_depend_on_the_batch(name: str) -> None:
    outputs, batch = some_batch()
    loss = LOSSES[name].function
    whole = np.asarray(loss(outputs, batch))
    assert whole.shape == (6,)
    assert len(set(whole.tolist())) == (6 if name != "iou" else 3)  # of which one is 1, that of boxes that do not overlap
    order = np.array([3, 0, 5, 1, 4, 2])
    shuffled = loss({k: v[order] for k, v in outputs.items()}, jax.tree.map(lambda a: a[order], batch))
    np.testing.assert_allclose(shuffled, whole[order], rtol=1e-6)
    alone = loss({k: v[2:3] for k, v in outputs.items()}, jax.tree.map(lambda a: a[2:3], batch))
    np.testing.assert_allclose(alone, whole[2:3], rtol=1e-6)


def padded(outputs: Any, batch: Batch, garbage: float) -> tuple[Any, Batch]:
    """The outputs and batch with four more examples that are masked out and full of garbage."""

    def more(array: np.ndarray, value: Any) -> np.ndarray:
        return np.concatenate([array, np.full((4, *array.shape[1:]), value, array.dtype)])

    wide = {name: more(value, garbage) for name, value in outputs.items()}
    return wide, Batch(
        more(batch.images_bxhxwxc, 255), more(batch.boxes_bxnx4, garbage), more(batch.labels_bxn, -7),
        more(batch.object_mask_bxn, True), more(batch.label_b, 99), more(batch.example_mask_b, False),
        more(batch.content_bx4, 0),
    )  # fmt: skip


@pytest.mark.parametrize("garbage", [0.0, 1e4, -3.0, np.nan])
def test_padding_changes_neither_the_loss_nor_its_gradient(garbage: float) -> None:
    outputs, batch = some_batch()
    losses = list(LOSSES.values())

    def value(outputs: Any, batch: Batch) -> Any:
        return batch_loss(outputs, batch, losses)[0]

    wide_outputs, wide_batch = padded(outputs, batch, garbage)
    plain, gradient = jax.value_and_grad(value)(outputs, batch)
    wide, wide_gradient = jax.value_and_grad(value)(wide_outputs, wide_batch)
    assert float(wide) == pytest.approx(float(plain), rel=1e-6)
    for name in outputs:
        np.testing.assert_allclose(wide_gradient[name][:6], gradient[name], rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(wide_gradient[name][6:], 0)


def test_batch_loss_is_the_weighted_sum_of_means() -> None:
    outputs, batch = some_batch()
    total, metrics = batch_loss(outputs, batch, list(LOSSES.values()))
    means = {name: float(np.mean(loss.function(outputs, batch))) for name, loss in LOSSES.items()}
    assert float(total) == pytest.approx(sum(LOSSES[name].weight * means[name] for name in LOSSES), rel=1e-6)
    assert {name: float(metrics[f"loss/{name}"]) for name in LOSSES} == pytest.approx(means, rel=1e-6)
    nothing = batch._replace(example_mask_b=np.zeros(6, bool))
    assert float(batch_loss(outputs, nothing, list(LOSSES.values()))[0]) == 0
    wrong = WeightedLoss("mean", 1.0, lambda o, b: jnp.float32(1.0))
    with pytest.raises(ValueError, match="loss 'mean' must return one number for each example"):
        batch_loss(outputs, batch, [wrong])
