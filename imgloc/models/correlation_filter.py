"""A classical tracker: a correlation filter of the window around an object, which is updated in every frame.

MOSSE (Bolme et al., 2010, doi:10.1109/CVPR.2010.5539960), without the random warps of the first window. The sides of a box do not change.
A peak-to-sidelobe ratio below a threshold means that the object is hidden: box and filter then stay as they are. The threshold is
fitted: it lies between the median ratios of visible and of hidden objects in training videos.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.errors import UserError
from imgloc.image.scale import as_gray
from imgloc.interfaces import Fit, Fitted
from imgloc.nn.apply import input_of, predict_step
from imgloc.nn.fitted import COLLECTION
from imgloc.nn.tracking import read_windows, track, windows_around
from imgloc.types import Batch, FloatArray, Outputs, Tracks, Video

TINY = {"size": 16, "rate": (0.125,)}
EPSILON = 1e-2  # regularizes the division by the spectrum of a window
SIDELOBE = 5  # cells on each side of the peak that do not belong to the sidelobe
SMALLEST = 1e-6  # ratio
LOW = 1.0  # a threshold that the ratio of an image with any peak exceeds
MAX_BATCHES = 8  # of training videos that the threshold is fitted on


class State(NamedTuple):
    """The filters of all objects, as numerators and denominators (b, n, s, s), and the boxes."""

    boxes: jax.Array  # (b, n, 4)
    above: jax.Array
    below: jax.Array


class Model(nn.Module):
    """Outputs: tracks, track_logits, track_scores; see `imgloc.nn.tracking`."""

    num_classes: int
    size: int = 32  # pixels: sides of the window after resampling
    context: float = 2.0  # the side of the window as a multiple of the longer side of the box
    sigma: float = 2.0  # cells: standard deviation of the peak
    rate: tuple[float, ...] = (0.025, 0.125, 0.25)  # searched: the share of a frame in the filter

    def setup(self) -> None:
        # Checks the fields and makes the fitted threshold.
        if self.sigma <= 0 or min(self.rate) <= 0 or max(self.rate) > 1:
            raise UserError(f"model.sigma must be above 0 and model.rate above 0 and at most 1, got {self.sigma} and {self.rate}")
        self.threshold = self.variable(COLLECTION, "threshold", lambda: jnp.zeros((), jnp.float32))

    def __call__(self, video: Video, *, train: bool) -> Outputs:
        """Returns the outputs for a video with frames in [0, 1]."""
        return track(self, video)

    def start(self, frame_bxhxwxc: jax.Array, boxes_bxnx4: jax.Array) -> State:
        """The state after the first frame."""
        return State(boxes_bxnx4, *self._filter(self._spectrum(frame_bxhxwxc, boxes_bxnx4)))

    def step(self, state: State, frame_bxhxwxc: jax.Array) -> tuple[State, jax.Array]:
        """The state after the next frame, and the logits (b, n) of the probabilities that the objects can be seen."""
        spectrum = self._spectrum(frame_bxhxwxc, state.boxes)
        response = jnp.fft.ifft2(spectrum * state.above / (state.below + EPSILON)).real
        offset_bxnx2, ratio_bxn = _peak(response)
        seen = ratio_bxn > self.threshold.value
        windows = windows_around(state.boxes, frame_bxhxwxc.shape, self.context)
        shift = jnp.where(seen[..., None], offset_bxnx2 / self.size * windows[..., 2:], 0.0)
        found = state.boxes + jnp.concatenate([shift, shift], axis=-1)
        new = self._filter(self._spectrum(frame_bxhxwxc, found))
        share = jnp.where(seen, self.rate[0], 0.0)[..., None, None]
        above, below = ((1 - share) * old + share * each for old, each in zip((state.above, state.below), new, strict=True))
        odds = jnp.maximum(ratio_bxn, SMALLEST) / jnp.maximum(self.threshold.value, LOW)
        return State(found, above, below), jnp.log(odds)

    def _spectrum(self, frame_bxhxwxc: jax.Array, boxes_bxnx4: jax.Array) -> jax.Array:
        """The Fourier transforms (b, n, s, s) of windows: logarithms, with mean 0 and variance 1, under a cosine window."""
        gray = as_gray(frame_bxhxwxc.astype(jnp.float32))
        windows = read_windows(gray, windows_around(boxes_bxnx4, gray.shape, self.context), self.size)[..., 0]
        logarithm = jnp.log1p(255.0 * windows)
        centered = logarithm - logarithm.mean(axis=(-2, -1), keepdims=True)
        hann = jnp.asarray(np.hanning(self.size + 2)[1:-1], jnp.float32)
        spectrum: jax.Array = jnp.fft.fft2(centered / (centered.std(axis=(-2, -1), keepdims=True) + 1e-5) * hann[:, None] * hann)
        return spectrum

    def _filter(self, spectrum: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The numerator and the denominator of the filter whose response to a window is a peak in its center."""
        distance = jnp.arange(self.size) - self.size // 2
        line = jnp.exp(-0.5 * (distance / self.sigma) ** 2)
        goal = jnp.fft.fft2(line[:, None] * line)
        return goal * spectrum.conj(), (spectrum * spectrum.conj()).real


def _peak(response_bxnxsxs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The offset (b, n, 2) of the peak from the center, x and y in cells, and the peak-to-sidelobe ratio (b, n)."""
    size = response_bxnxsxs.shape[-1]
    flat = response_bxnxsxs.reshape(*response_bxnxsxs.shape[:2], -1)
    place = flat.argmax(axis=-1)
    y, x = place // size, place % size
    rows, columns = (jnp.abs(jnp.arange(size) - each[..., None]) <= SIDELOBE for each in (y, x))
    sidelobe = ~(rows[..., :, None] & columns[..., None, :])
    count = jnp.maximum(sidelobe.sum(axis=(-2, -1)), 1)
    mean = jnp.where(sidelobe, response_bxnxsxs, 0).sum(axis=(-2, -1)) / count
    variance = jnp.where(sidelobe, (response_bxnxsxs - mean[..., None, None]) ** 2, 0).sum(axis=(-2, -1)) / count
    ratio = (flat.max(axis=-1) - mean) / (jnp.sqrt(variance) + 1e-5)
    return jnp.stack([x, y], axis=-1).astype(jnp.float32) - size // 2, jnp.maximum(ratio, 0.0)


def prepare(model: Model, batches: Iterator[Batch]) -> tuple[FloatArray, FloatArray]:
    """The peak-to-sidelobe ratios of visible and of hidden objects in training videos, followed without a threshold."""
    variables = {COLLECTION: {"threshold": jnp.full((), LOW, jnp.float32)}}
    compiled = jax.jit(lambda video: predict_step(variables, video, model=model)["track_scores"])
    visible: list[FloatArray] = []
    hidden: list[FloatArray] = []
    for batch in itertools.islice(batches, MAX_BATCHES):
        video = input_of(batch)
        if not isinstance(video, Video) or batch.tracks is None:
            raise UserError(
                "model 'correlation_filter' reads videos, but the data has images; use a source of videos, such as moving_digits"
            )
        score = np.asarray(compiled(video), np.float64)[:, 1:]
        ratio = LOW * score / np.maximum(1 - score, 1e-9)
        tracks = Tracks(*(np.asarray(each)[:, 1:] for each in batch.tracks))
        visible.append(ratio[tracks.present & (tracks.visible > 0.75)])
        hidden.append(ratio[tracks.present & (tracks.visible < 0.25)])
    return np.concatenate(visible), np.concatenate(hidden)


def fit(model: Model, prepared: tuple[FloatArray, FloatArray], rng: np.random.Generator) -> Fitted:
    """The threshold: the mean of the medians of visible and hidden objects, or half the former without hidden ones."""
    visible, hidden = prepared
    typical = float(np.median(visible)) if len(visible) else 0.0
    threshold = (typical + (float(np.median(hidden)) if len(hidden) else 0.0)) / 2
    return Fitted({"threshold": np.float32(threshold)})


FIT = Fit(prepare, fit, ("rate",))
