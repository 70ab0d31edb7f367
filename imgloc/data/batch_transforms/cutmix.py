"""CutMix: a rectangle of another image is pasted, and labels are mixed by area (Yun et al., 2019, arXiv:1905.04899), on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc import boxes
from imgloc.data.batches.mixing import enclosing, partners, soft_labels, with_probability
from imgloc.data.batches.objects import Objects, area_rounding, boxes_in_window, keep_objects, objects_of, take
from imgloc.data.batches.rectangles import as_boxes, pixels_inside
from imgloc.data.transforms.options import check_number
from imgloc.types import Array, Batch

KEY = "data.batch_transforms.cutmix"
EDGE = 1e-6  # edges that are so close, in sides of the image, differ by rounding alone


def transform(
    batch: Batch, key: jax.Array, *, num_classes: int, probability: float = 1.0, alpha: float = 1.0, visible: float = 0.3
) -> Batch:
    """The batch with a rectangle of another image pasted at the same place into each image, with a probability.

    The rectangle has the image's shape and the share 1 - Beta(alpha, alpha) of its area; its center is uniform in the image, which
    cuts it off (algorithm A1 of the paper). visible: an object with less than this share of its area left is dropped; see `pasted`.
    The only image of a batch does not change. Raises UserError for options out of range.
    """
    check_number(f"{KEY}.probability", probability, 0.0, 1.0)
    check_number(f"{KEY}.alpha", alpha, 0.01, 100.0)
    check_number(f"{KEY}.visible", visible, 0.0, 1.0)
    apply_key, partner_key, share_key, center_key = jax.random.split(key, 4)
    size, shape_2 = len(batch.label_b), jnp.array(batch.images_bxhxwxc.shape[2:0:-1])
    side_b = jnp.sqrt(1 - jax.random.beta(share_key, alpha, alpha, (size,)))
    half_bx2 = (side_b[:, None] * shape_2).astype(jnp.int32) // 2
    center_bx2 = jax.random.randint(center_key, (size, 2), 0, shape_2)
    rectangle_bx4 = jnp.concatenate([jnp.maximum(center_bx2 - half_bx2, 0), jnp.minimum(center_bx2 + half_bx2, shape_2)], axis=1)
    partner_b = partners(partner_key, batch.example_mask_b, 1)[:, 0]
    changed = pasted(batch, partner_b, rectangle_bx4, num_classes=num_classes, visible=visible)
    return with_probability(apply_key, probability, changed, batch, num_classes, partner_b=partner_b)


def pasted(batch: Batch, partner_b: Array, rectangle_bx4: Array, *, num_classes: int, visible: float) -> Batch:
    """Each image with a rectangle xyxy, in whole pixels, of its partner; soft labels by area, `label_b` that of the larger area.

    An object of the partner is clipped to the rectangle. An object of the image is clipped where the rectangle covers a side of its box
    completely, because the visible part is then a smaller box; else it stays whole. Objects with less than `visible` of their area left
    are dropped. Of the others, as many are kept as the batch has room for, in the order of `collate`: those of `label_b` first, larger
    ones before smaller ones. The content box contains those of both images.
    """
    images, content_bx4 = jnp.asarray(batch.images_bxhxwxc), jnp.asarray(batch.content_bx4)
    hole_bx1x4 = as_boxes(rectangle_bx4, batch)[:, None]
    share_bx1 = boxes.area(rectangle_bx4)[:, None] / (images.shape[1] * images.shape[2])
    label_b, soft_bxk = jnp.asarray(batch.label_b), soft_labels(batch, num_classes)
    label_b = jnp.where(share_bx1[:, 0] > 0.5, label_b[partner_b], label_b)

    own = objects_of(batch)
    theirs = take(own, partner_b)
    area_bxn, hidden_bxn = boxes.area(own.boxes_bxnx4), boxes.intersection(own.boxes_bxnx4, hole_bx1x4)
    left_bxn = (area_bxn - hidden_bxn >= visible * area_bxn) & (area_bxn - hidden_bxn > area_rounding(own.boxes_bxnx4))
    clipped_bxnx4, inside_bxn = boxes_in_window(theirs.boxes_bxnx4, hole_bx1x4, visible)
    own = Objects(_outside(own.boxes_bxnx4, hole_bx1x4), own.labels_bxn, own.object_mask_bxn & left_bxn)
    theirs = Objects(boxes.from_window(clipped_bxnx4, hole_bx1x4), theirs.labels_bxn, theirs.object_mask_bxn & inside_bxn)
    return batch._replace(
        **keep_objects((own, theirs), label_b, own.labels_bxn.shape[1])._asdict(),
        images_bxhxwxc=jnp.where(pixels_inside(rectangle_bx4, batch), images[partner_b], images),
        label_b=label_b,
        content_bx4=enclosing(content_bx4, content_bx4[partner_b]),
        soft_label_bxk=(1 - share_bx1) * soft_bxk + share_bx1 * soft_bxk[partner_b],
    )


def _outside(boxes_bxnx4: jax.Array, hole_bx1x4: jax.Array) -> jax.Array:
    """The smallest boxes around the visible parts of boxes with a hole."""
    (low, high), (hole_low, hole_high) = (jnp.split(a, 2, axis=-1) for a in (boxes_bxnx4, hole_bx1x4))  # x, y
    # A side in x is covered where the hole spans the box in y, and the other way around.
    covers_low, covers_high = hole_low <= low + EDGE, hole_high >= high - EDGE
    spans = (covers_low & covers_high)[..., ::-1]
    new_low = jnp.where(spans & covers_low, jnp.clip(hole_high, low, high), low)
    new_high = jnp.where(spans & covers_high, jnp.clip(hole_low, low, high), high)
    return jnp.concatenate([new_low, new_high], axis=-1)
