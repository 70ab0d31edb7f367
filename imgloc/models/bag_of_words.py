"""A bag of visual words (Csurka et al., 2004) in a spatial pyramid (Lazebnik et al., CVPR 2006), and a linear support vector machine.

Dense local descriptors are assigned to the nearest words of a vocabulary that k-means has found. The features of an image are the
square roots of the shares of the words, in the whole image and in each cell of a grid (the Hellinger kernel).
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import UserError, check_at_least, look_up
from imgloc.features.daisy import daisy
from imgloc.features.hog import hog_blocks
from imgloc.image.scale import as_gray
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.linear import Linear, fit_linear_svm, fit_ridge
from imgloc.models.classical.training_features import TrainingFeatures, boxed, labelled
from imgloc.models.classical.training_images import TrainingImages, read_training_images
from imgloc.nn.apply import as_inputs
from imgloc.nn.fitted import fitted
from imgloc.types import Batch, FloatArray, Outputs, Uint8Array

TINY = {"words": 5, "c": (1.0,)}
VARIANTS = {"daisy": {**TINY, "local": "daisy", "radius": 8}}
VOCABULARY_SAMPLE = 20_000  # local descriptors that k-means reads
BATCH = 100  # images whose local descriptors are in memory at once


class Model(nn.Module):
    """Outputs: logits, the decision values of the classes; box with `locate`; features: histogram (b, d)."""

    num_classes: int
    local: str = "hog"  # hog: blocks of 2 x 2 cells; daisy
    cell: int = 4  # pixels of a cell of hog, and between two descriptors
    radius: int = 6  # pixels of daisy
    words: int = 200  # of the vocabulary
    grid: int = 2  # cells of the pyramid in each direction; 1: only the whole image
    c: tuple[float, ...] = (0.1, 1.0, 10.0)  # searched: the weight of the errors of training
    box_alpha: float = 1.0  # of the ridge regression of the box
    locate: bool = True  # with a box, from the same features

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        check_at_least(1, cell=self.cell, radius=self.radius, words=self.words, grid=self.grid)
        if min(*self.c, self.box_alpha) <= 0:
            raise UserError(f"model.c and box_alpha must be above 0, got {self.c} and {self.box_alpha}")
        local_bxpxqxd = local_descriptors(self, images)
        histogram_bxd = histograms(local_bxpxqxd, fitted(self, "vocabulary", (self.words, local_bxpxqxd.shape[-1])), self.grid)
        outputs = {"logits": Linear(self.num_classes, name="classes")(histogram_bxd), "features": {"histogram": histogram_bxd}}
        if self.locate:
            outputs["box"] = boxes.from_edges(Linear(4, name="box")(histogram_bxd))
        return outputs


def local_descriptors(model: Model, images_bxhxwxc: jax.Array) -> jax.Array:
    """Descriptors (b, p, q, d) at dense places of images in [0, 1]."""
    images = images_bxhxwxc.astype(jnp.float32)

    def of_blocks() -> jax.Array:
        blocks = hog_blocks(images, pixels_per_cell=(model.cell, model.cell), cells_per_block=(2, 2))
        return blocks.reshape(*blocks.shape[:3], -1)

    def of_rings() -> jax.Array:
        rings: jax.Array = daisy(as_gray(images)[..., 0], step=model.cell, radius=model.radius, rings=2, histograms=6, normalization="l2")
        return rings

    return look_up("local descriptor (model.local)", model.local, {"hog": of_blocks, "daisy": of_rings})()


def histograms(local_bxpxqxd: jax.Array, vocabulary_wxd: jax.Array, grid: int) -> jax.Array:
    """Square roots of the shares of the words (b, (1 + grid * grid) * w), without the last factor where `grid` is 1."""
    products = jnp.einsum("bpqd,wd->bpqw", local_bxpxqxd, vocabulary_wxd, precision="highest")
    nearest_bxpxq = (2 * products - jnp.square(vocabulary_wxd).sum(axis=-1)).argmax(axis=-1)
    words_bxpxqxw = jax.nn.one_hot(nearest_bxpxq, len(vocabulary_wxd))
    b, p, q, w = words_bxpxqxw.shape
    parts = [words_bxpxqxw.mean(axis=(1, 2))[:, None]]
    if grid > 1:
        rows_gxp, columns_gxq = (cell_means(n, grid) for n in (p, q))
        parts.append(jnp.einsum("bpqw,gp,hq->bghw", words_bxpxqxw, rows_gxp, columns_gxq).reshape(b, grid * grid, w))
    features_bxd: jax.Array = jnp.sqrt(jnp.concatenate(parts, axis=1)).reshape(b, -1)
    return features_bxd


def cell_means(count: int, grid: int) -> FloatArray:
    """The matrix (grid, count) that averages over each of `grid` parts of `count` places; 0 for a part without a place."""
    member = (np.arange(count) * grid // count) == np.arange(grid)[:, None]
    means: FloatArray = (member / np.maximum(member.sum(axis=1, keepdims=True), 1)).astype(np.float32)
    return means


def prepare(model: Model, batches: Iterator[Batch]) -> TrainingImages:
    """The training images."""
    return read_training_images(batches)


def fit(model: Model, images: TrainingImages, rng: np.random.Generator) -> Fitted:
    """The vocabulary, and the machine and the regression on its histograms."""
    seeds = rng.integers(2**31, size=2).tolist()
    vocabulary = fit_vocabulary(model, images.images_nxhxwxc, seeds[0], rng)
    compiled = jax.jit(lambda part: histograms(local_descriptors(model, as_inputs(part, jnp.float32)), jnp.asarray(vocabulary), model.grid))
    starts = range(0, len(images.label_n), BATCH)
    histogram_nxd = np.concatenate([np.asarray(compiled(images.images_nxhxwxc[start : start + BATCH])) for start in starts])
    training = TrainingFeatures(histogram_nxd, images.label_n, images.boxes_nxmx4[:, 0], images.mask_nxm[:, 0])
    variables = {
        "vocabulary": vocabulary,
        "classes": fit_linear_svm(*labelled(training, model.num_classes), model.num_classes, model.c[0], seeds[1]),
    }
    return Fitted({**variables, **({"box": fit_ridge(*boxed(training), model.box_alpha)} if model.locate else {})})


def fit_vocabulary(model: Model, images_nxhxwxc: Uint8Array, seed: int, rng: np.random.Generator) -> FloatArray:
    """The words (words, d): the means that k-means finds of a sample of the local descriptors."""
    from sklearn.cluster import KMeans

    compiled = jax.jit(lambda part: local_descriptors(model, as_inputs(part, jnp.float32)))
    order_n = rng.permutation(len(images_nxhxwxc))
    sample: list[FloatArray] = []
    for start in range(0, len(order_n), BATCH):
        local = np.asarray(compiled(images_nxhxwxc[order_n[start : start + BATCH]]))
        sample.append(local.reshape(-1, local.shape[-1]))
        if sum(map(len, sample)) >= 4 * VOCABULARY_SAMPLE:
            break
    every = np.concatenate(sample)
    chosen = every[rng.permutation(len(every))[:VOCABULARY_SAMPLE]]
    if len(np.unique(chosen, axis=0)) < model.words:
        raise UserError(f"model.words is {model.words}, but the training images have fewer different local descriptors; lower it")
    means: FloatArray = np.asarray(KMeans(model.words, n_init=1, max_iter=50, random_state=seed).fit(chosen).cluster_centers_, np.float32)
    return means


FIT = Fit(prepare, fit, ("c",))
