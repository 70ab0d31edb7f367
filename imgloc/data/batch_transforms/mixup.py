"""mixup: weighted means of two images and of their labels (Zhang et al., 2018, arXiv:1710.09412), on the device."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from imgloc.data.batches.mixing import enclosing, partners, soft_labels, with_probability
from imgloc.data.batches.objects import keep_objects, objects_of, take
from imgloc.data.transforms.options import check_number
from imgloc.types import Array, Batch

KEY = "data.batch_transforms.mixup"
BITS = 8  # of weights: half of this step changes no pixel by more than half a gray level
UNIT = 1 << BITS


def transform(
    batch: Batch, key: jax.Array, *, num_classes: int, probability: float = 1.0, alpha: float = 0.2, visible: float = 0.1
) -> Batch:
    """The batch with each image mixed with another one, with a probability; the weight of the first is Beta(alpha, alpha) distributed.

    The objects of both images are kept, see `mixed`. visible: the objects of an image with a smaller weight are dropped. The only image
    of a batch does not change. Raises UserError for options out of range.
    """
    check_number(f"{KEY}.probability", probability, 0.0, 1.0)
    check_number(f"{KEY}.alpha", alpha, 0.01, 100.0)
    check_number(f"{KEY}.visible", visible, 0.0, 1.0)
    apply_key, partner_key, weight_key = jax.random.split(key, 3)
    partner_b = partners(partner_key, batch.example_mask_b, 1)[:, 0]
    weight_b = jnp.round(UNIT * jax.random.beta(weight_key, alpha, alpha, batch.label_b.shape)).astype(jnp.int32)
    changed = mixed(batch, partner_b, weight_b, num_classes=num_classes, visible=visible)
    return with_probability(apply_key, probability, changed, batch, num_classes, partner_b=partner_b)


def mixed(batch: Batch, partner_b: Array, weight_b: Array, *, num_classes: int, visible: float) -> Batch:
    """Each image times its weight (of 256), plus its partner times the rest, rounded; soft labels and `label_b` follow.

    The image's label is that of the larger weight. Of the objects of both, as many are kept as the batch has room for, in the order of
    `collate`: those of that label first, larger ones before smaller ones. The content box contains those of both.
    """
    images, weight_bx1 = jnp.asarray(batch.images_bxhxwxc), jnp.asarray(weight_b)[:, None]
    weight_bx1x1x1 = weight_bx1[..., None, None].astype(jnp.uint16)  # 255 * 256 + 128 fits in 16 bits
    pixels = (images * weight_bx1x1x1 + images[partner_b] * (UNIT - weight_bx1x1x1) + UNIT // 2) >> BITS  # uint16

    label_b, soft_bxk, content_bx4 = jnp.asarray(batch.label_b), soft_labels(batch, num_classes), jnp.asarray(batch.content_bx4)
    label_b = jnp.where(2 * weight_bx1[:, 0] >= UNIT, label_b, label_b[partner_b])
    share_bx1, own = weight_bx1 / UNIT, objects_of(batch)
    both = [
        objects._replace(object_mask_bxn=objects.object_mask_bxn & (share > 0) & (share >= visible))
        for objects, share in ((own, share_bx1), (take(own, partner_b), 1 - share_bx1))
    ]
    return batch._replace(
        **keep_objects(both, label_b, own.labels_bxn.shape[1])._asdict(),
        images_bxhxwxc=pixels.astype(jnp.uint8),
        label_b=label_b,
        content_bx4=enclosing(content_bx4, content_bx4[partner_b]),
        soft_label_bxk=share_bx1 * soft_bxk + (1 - share_bx1) * soft_bxk[partner_b],
    )
