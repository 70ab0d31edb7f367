"""The largest salient region by the spectral residual (Hou and Zhang, CVPR 2007) is the object; no box is learned.

A linear support vector machine on the gradient histograms around the box gives the class.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.image.saliency import spectral_residual
from imgloc.interfaces import Fit, Fitted
from imgloc.models.classical.crops import CropHead
from imgloc.models.classical.training_images import TrainingImages, read_training_images
from imgloc.models.classical.unlearned_boxes import fit_class_of_found, largest_component
from imgloc.types import Batch, Outputs

FLOOR = 1e-6  # of the amplitudes: frequencies that drawn images hardly have would add noise to the largest region

TINY = {"times_mean": (1.2,), "sigma": (2.5,), "c": (1.0,)}


class Model(nn.Module):
    """Outputs: box, of the largest salient region; logits, the decision values of the classes around it."""

    num_classes: int
    times_mean: tuple[float, ...] = (1.5, 2.5)  # searched: a pixel is salient if its saliency exceeds so many times the mean
    size: int = 64  # pixels of the width at which the saliency is computed
    sigma: tuple[float, ...] = (2.5, 5.0)  # searched: pixels of the Gaussian that smooths it
    c: tuple[float, ...] = (0.1,)  # searched: the weight of the errors of the classifier

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        if min(*self.times_mean, *self.sigma, *self.c) <= 0:
            raise UserError(f"model.times_mean, sigma and c must be above 0, got {self.times_mean}, {self.sigma} and {self.c}")
        return CropHead(self.num_classes, name="head")(images, find(self, images))


def find(model: Model, images_bxhxwxc: jax.Array) -> jax.Array:
    """The boxes (b, 4) of the largest salient regions of images in [0, 1]."""
    saliency_bxhxw = spectral_residual(images_bxhxwxc.astype(jnp.float32), size=model.size, sigma=model.sigma[0], floor=FLOOR)
    return largest_component(saliency_bxhxw > model.times_mean[0] * saliency_bxhxw.mean(axis=(1, 2), keepdims=True))


def prepare(model: Model, batches: Iterator[Batch]) -> TrainingImages:
    """The training images; their boxes are not used."""
    return read_training_images(batches)


def fit(model: Model, training: TrainingImages, rng: np.random.Generator) -> Fitted:
    """The classifier of what is in the boxes."""
    return fit_class_of_found(lambda images: find(model, images), training, model.num_classes, c=model.c[0], rng=rng)


FIT = Fit(prepare, fit, ("times_mean", "sigma", "c"))
