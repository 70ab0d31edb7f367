"""The mean image of each class is a template, which normalized cross-correlation compares with every place of an image pyramid."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import UserError, check_at_least
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.crops import BATCH, crops, from_offsets, to_offsets
from imgloc.models.classical.haar_windows import pyramid_boxes
from imgloc.models.classical.training_images import TrainingImages, level_sides, read_training_images
from imgloc.models.classical.windows import level_size
from imgloc.nn.apply import as_inputs
from imgloc.nn.fitted import fitted
from imgloc.types import Batch, Outputs

TINY = {"size": 8, "levels": 2, "context": (1.2,)}
SHARPNESS = 20.0  # logits are so many times the correlation, which is in [-1, 1]
SMALLEST_SPREAD = 1e-4  # of the pixels of a window, in [0, 1]: flatter ones have no correlation
NO_TEMPLATE = -1.0  # the correlation of a class without a training example


class Model(nn.Module):
    """Outputs: logits, SHARPNESS times the highest correlation of each class; box, of the best place of the best class."""

    num_classes: int
    size: int = 16  # pixels: height and width of a template
    levels: int = 7  # of the pyramid, between the smallest and the largest object of training
    context: tuple[float, ...] = (1.0, 1.2, 1.4)  # searched: the side of a template divided by the longer side of its object
    sides: tuple[float, ...] = (0.5,)  # set by the fit: the sides of templates in units of the shorter side of the image

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(2, size=self.size)
        check_at_least(1, levels=self.levels)
        if min(self.context) < 1:
            raise UserError(f"model.context must be at least 1, got {self.context}")
        _, height, width, channels = images.shape
        templates_kxsxsxc = fitted(self, "templates", (self.num_classes, self.size, self.size, channels))
        edges_kx4, occurs_k = fitted(self, "edges", (self.num_classes, 4)), fitted(self, "occurs", (self.num_classes,))
        found_bxwxk = correlations(images.astype(jnp.float32), templates_kxsxsxc, self.sides)
        found_bxwxk = jnp.where(occurs_k > 0, found_bxwxk, NO_TEMPLATE)
        highest_bxk = found_bxwxk.max(axis=1)
        class_b = highest_bxk.argmax(axis=1)
        place_b = jnp.take_along_axis(found_bxwxk.argmax(axis=1), class_b[:, None], axis=1)[:, 0]
        window_bx4 = jnp.asarray(pyramid_boxes(height, width, self.size, self.sides))[place_b]
        return {"logits": SHARPNESS * highest_bxk, "box": boxes.from_edges(from_offsets(window_bx4, edges_kx4[class_b]))}


def correlations(images_bxhxwxc: jax.Array, templates_kxsxsxc: jax.Array, sides: tuple[float, ...]) -> jax.Array:
    """The correlation coefficients (b, windows, k) of templates with the windows of all levels; those of `pyramid_boxes`."""
    b, height, width, c = images_bxhxwxc.shape
    k, size = templates_kxsxsxc.shape[:2]
    centered = templates_kxsxsxc - templates_kxsxsxc.mean(axis=(1, 2, 3), keepdims=True)
    norm_k = jnp.sqrt(jnp.square(centered).sum(axis=(1, 2, 3)))
    unit_kxsxsxc = centered / jnp.maximum(norm_k, 1e-9)[:, None, None, None]
    parts = []
    for side in sides:
        resized = jax.image.resize(images_bxhxwxc, (b, *level_size(height, width, size, side), c), "linear")
        resized = resized - resized.mean(axis=(1, 2, 3), keepdims=True)  # which changes no correlation, and rounds less

        def window_sum(values: jax.Array) -> jax.Array:
            sums: jax.Array = jax.lax.reduce_window(values, 0.0, jax.lax.add, (1, size, size, c), (1, 1, 1, 1), "VALID")
            return sums

        count = size * size * c
        scatter = window_sum(jnp.square(resized)) - jnp.square(window_sum(resized)) / count
        products = jax.lax.conv_general_dilated(
            resized, jnp.moveaxis(unit_kxsxsxc, 0, 3), (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
        )
        smallest = count * SMALLEST_SPREAD**2
        found = jnp.where(scatter > smallest, products / jnp.sqrt(jnp.maximum(scatter, smallest)), 0.0)
        parts.append(jnp.clip(found, -1.0, 1.0).reshape(b, -1, k))
    return jnp.concatenate(parts, axis=1)


def prepare(model: Model, batches: Iterator[Batch]) -> TrainingImages:
    """The training images that have an object."""
    return read_training_images(batches).with_object()


def fit(model: Model, training: TrainingImages, rng: np.random.Generator) -> Fitted:
    """The means of the squares around the objects of each class, and of the edges of the objects in them."""
    height, width = training.size
    squares_nx4 = boxes.squares_around(training.boxes_nxmx4[:, 0], height, width, model.context[0])
    compiled = jax.jit(lambda images, squares: crops(as_inputs(images, jnp.float32), squares[:, None], model.size)[:, 0])
    starts = range(0, len(squares_nx4), BATCH)
    parts = [np.asarray(compiled(training.images_nxhxwxc[at : at + BATCH], squares_nx4[at : at + BATCH])) for at in starts]
    parts_nxsxsxc, label_n = np.concatenate(parts), training.labels_nxm[:, 0]
    offsets_nx4 = to_offsets(squares_nx4, training.boxes_nxmx4[:, 0])
    templates = np.zeros((model.num_classes, *parts_nxsxsxc.shape[1:]), np.float32)
    edges = np.tile(np.array([0, 0, 1, 1], np.float32), (model.num_classes, 1))
    for label in np.unique(label_n):
        templates[label], edges[label] = parts_nxsxsxc[label_n == label].mean(axis=0), offsets_nx4[label_n == label].mean(axis=0)
    occurs = np.isin(np.arange(model.num_classes), label_n).astype(np.float32)
    sides = level_sides(squares_nx4, height, width, model.levels)
    return Fitted({"templates": templates, "edges": edges, "occurs": occurs}, {"sides": sides})


FIT = Fit(prepare, fit, ("context",), decides=("sides",))
