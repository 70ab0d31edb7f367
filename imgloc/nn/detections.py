"""From dense predictions to a fixed number of detections, on the device: the best candidates, and suppression of duplicates."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from imgloc import boxes as box_arithmetic
from imgloc.errors import UserError, check_at_least


class Suppression(NamedTuple):
    """How dense predictions become detections. No field changes a parameter of a model."""

    max_detections: int = 100  # of an image
    candidates: int = 300  # predictions with the highest scores that are compared with each other
    nms_iou: float = 0.6  # a detection is a duplicate if its IoU with a better one of its class is above this
    soft_nms_sigma: float = 0.0  # above 0: soft-NMS, which lowers the scores of duplicates by exp(-IoU^2 / sigma), instead of NMS
    min_score: float = 0.001  # predictions below this score are dropped

    def check(self) -> None:
        """Raises UserError for a field out of range."""
        check_at_least(1, max_detections=self.max_detections, candidates=self.candidates)
        for name, value in (("nms_iou", self.nms_iou), ("min_score", self.min_score)):
            if not 0 <= value <= 1:
                raise UserError(f"model.{name} must be from 0 to 1, got {value}")
        if self.soft_nms_sigma < 0:
            raise UserError(f"model.soft_nms_sigma must be at least 0 (0: NMS), got {self.soft_nms_sigma}")


def select_detections(scores_bxlxk: jax.Array, boxes_bxlx4: jax.Array, how: Suppression) -> dict[str, jax.Array]:
    """Returns the detections of dense predictions at l locations: `boxes` (b, n, 4), `scores` (b, n) and `labels` (b, n) int32.

    They are sorted by falling score, and n is `max_detections`. A score of 0 stands for no detection; its box is zeros. Boxes are
    clipped to [0, 1]. One location can give detections of several classes. Shapes are static, and the work for duplicates is that
    of `candidates` x `candidates` IoUs an image, however many objects there are.
    """
    b, _, k = scores_bxlxk.shape
    flat_bxm = scores_bxlxk.reshape(b, -1)
    scores_bxc, place_bxc = jax.lax.top_k(flat_bxm, min(how.candidates, flat_bxm.shape[1]))
    labels_bxc = (place_bxc % k).astype(jnp.int32)
    boxes_bxcx4 = jnp.take_along_axis(box_arithmetic.clip_to_image(boxes_bxlx4), (place_bxc // k)[..., None], axis=1)
    overlap_bxcxc = _overlap_within_class(boxes_bxcx4, labels_bxc)
    if how.soft_nms_sigma > 0:
        scores_bxc = soft_nms(scores_bxc, overlap_bxcxc, how.soft_nms_sigma, how.max_detections)
    else:
        scores_bxc = jnp.where(nms(overlap_bxcxc > how.nms_iou), scores_bxc, 0.0)
    scores_bxc = jnp.where(scores_bxc < how.min_score, 0.0, scores_bxc)  # NaN stays, so that the image has no answer
    padding = ((0, 0), (0, max(0, how.max_detections - scores_bxc.shape[1])))
    scores_bxn, order_bxn = jax.lax.top_k(jnp.pad(scores_bxc, padding), how.max_detections)
    present_bxn = scores_bxn > 0
    labels_bxn = jnp.take_along_axis(jnp.pad(labels_bxc, padding), order_bxn, axis=1)
    boxes_bxnx4 = jnp.take_along_axis(jnp.pad(boxes_bxcx4, (*padding, (0, 0))), order_bxn[..., None], axis=1)
    return {
        "boxes": jnp.where(present_bxn[..., None], boxes_bxnx4, 0.0),
        "scores": scores_bxn,
        "labels": jnp.where(present_bxn, labels_bxn, 0),
    }


def nms(suppresses_bxcxc: jax.Array) -> jax.Array:
    """Returns the mask (b, c) of the candidates, sorted by falling score, that greedy non-maximum suppression keeps.

    `suppresses[b, i, j]` holds where i removes j if i is kept and better. A candidate is kept if no kept, better one removes it.
    These conditions have one solution, and iteration from any start reaches it after as many rounds as the longest chain of
    removals, which are few, instead of one round for each candidate.
    """
    better_cxc = jnp.triu(jnp.ones(suppresses_bxcxc.shape[1:], jnp.bool_), 1)
    removes_bxcxc = (suppresses_bxcxc & better_cxc).astype(jnp.float32)

    def kept_after(keep_bxc: jax.Array) -> jax.Array:
        return jnp.einsum("bi,bij->bj", keep_bxc.astype(jnp.float32), removes_bxcxc) == 0

    def is_changing(carry: tuple[jax.Array, jax.Array]) -> jax.Array:
        return jnp.any(carry[0] != carry[1])

    start_bxc = jnp.ones(suppresses_bxcxc.shape[:2], jnp.bool_)
    keep_bxc, _ = jax.lax.while_loop(is_changing, lambda carry: (kept_after(carry[0]), carry[0]), (kept_after(start_bxc), start_bxc))
    return keep_bxc


def soft_nms(scores_bxc: jax.Array, overlap_bxcxc: jax.Array, sigma: float, count: int) -> jax.Array:
    """Returns the scores (b, c) after Gaussian soft-NMS (Bodla et al., 2017, arXiv:1704.04503, equation 4); 0 beyond the best `count`.

    The candidate with the highest score is taken, and the scores of those left are multiplied by exp(-IoU^2 / sigma); then again.
    """
    decay_bxcxc = jnp.exp(-jnp.square(overlap_bxcxc) / sigma)
    rows_b = jnp.arange(scores_bxc.shape[0])

    def take_best(_: jax.Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        left_bxc, taken_bxc = carry
        best_b = jnp.argmax(left_bxc, axis=1)
        score_b = jnp.maximum(left_bxc[rows_b, best_b], 0.0)
        taken_bxc = taken_bxc.at[rows_b, best_b].max(score_b)
        return (left_bxc * decay_bxcxc[rows_b, best_b]).at[rows_b, best_b].set(-1.0), taken_bxc

    start = (scores_bxc, jnp.zeros_like(scores_bxc))
    taken: jax.Array = jax.lax.fori_loop(0, min(count, scores_bxc.shape[1]), take_best, start)[1]
    return taken


def _overlap_within_class(boxes_bxcx4: jax.Array, labels_bxc: jax.Array) -> jax.Array:
    """Returns the IoU (b, c, c) of each pair of boxes of one class, 0 for two classes."""
    iou_bxcxc = box_arithmetic.iou(boxes_bxcx4[:, :, None], boxes_bxcx4[:, None])
    return jnp.where(labels_bxc[:, :, None] == labels_bxc[:, None], iou_bxcxc, 0.0)
