"""The largest connected component of Otsu's threshold is the object; no box is learned.

A linear support vector machine on the gradient histograms around the box gives the class.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.errors import UserError, look_up
from imgloc.image.filters import gaussian
from imgloc.image.scale import as_gray
from imgloc.image.thresholds import otsu
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.crops import CropHead
from imgloc.models.classical.training_images import TrainingImages, read_training_images
from imgloc.models.classical.unlearned_boxes import fit_class_of_found, largest_component
from imgloc.types import Batch, Outputs

TINY = {"sigma": (2.5,), "c": (1.0,)}


class Model(nn.Module):
    """Outputs: box, of the largest component; logits, the decision values of the classes around it."""

    num_classes: int
    sigma: tuple[float, ...] = (0.5, 1.0, 1.5)  # searched: pixels of the Gaussian that smooths the image first
    foreground: str = "smaller"  # the side of the threshold that holds the object: bright, dark, or that with fewer pixels
    c: tuple[float, ...] = (0.1,)  # searched: the weight of the errors of the classifier

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        if min(self.sigma) < 0 or min(self.c) <= 0:
            raise UserError(f"model.sigma must be at least 0 and model.c above 0, got {self.sigma} and {self.c}")
        return CropHead(self.num_classes, name="head")(images, find(self, images))


def find(model: Model, images_bxhxwxc: jax.Array) -> jax.Array:
    """The boxes (b, 4) of the largest components of images in [0, 1]."""
    gray = as_gray(images_bxhxwxc.astype(jnp.float32))
    smooth = gaussian(gray, model.sigma[0]) if model.sigma[0] else gray
    bright = (smooth > otsu(smooth))[..., 0]
    is_minority = bright.mean(axis=(1, 2), keepdims=True) <= 0.5
    sides = {"bright": bright, "dark": ~bright, "smaller": jnp.where(is_minority, bright, ~bright)}
    return largest_component(look_up("foreground (model.foreground)", model.foreground, sides))


def prepare(model: Model, batches: Iterator[Batch]) -> TrainingImages:
    """The training images; their boxes are not used."""
    return read_training_images(batches)


def fit(model: Model, training: TrainingImages, rng: np.random.Generator) -> Fitted:
    """The classifier of what is in the boxes."""
    return fit_class_of_found(lambda images: find(model, images), training, model.num_classes, c=model.c[0], rng=rng)


FIT = Fit(prepare, fit, ("sigma", "c"))
