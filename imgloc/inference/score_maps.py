"""The score maps of a model that learns from labels, over the images: where the box of the predicted class comes from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from imgloc.devices import mesh
from imgloc.errors import UserError
from imgloc.inference.explain import map_over_input
from imgloc.inference.load import TrainedModel, prepare
from imgloc.inference.predict import compiled_predict
from imgloc.inference.predictions import as_picture
from imgloc.types import FloatArray, Uint8Array


class Shown(NamedTuple):
    """An image at the size of the model's input, and the part of the input that shows it."""

    input_hxwxc: Uint8Array
    content_4: FloatArray


def score_map_predictor(trained: TrainedModel) -> Callable[[Sequence[Shown]], list[FloatArray]] | None:
    """A function of images that returns the map (h, w) in [0, 1] of the predicted class over each; None for a task without score maps.

    Every process passes all images and gets all maps. A map that is flat or not finite is zeros.
    """
    score_map = trained.task.score_map
    if score_map is None:
        return None
    compiled = compiled_predict(trained.module, trained.task, trained.devices, trained.dtype, everywhere=True)

    def maps(images: Sequence[Shown]) -> list[FloatArray]:
        # Padded to a power of two, so that few sizes are compiled.
        size = mesh.round_up(1 << (len(images) - 1).bit_length(), trained.devices)
        inputs = np.zeros((size, *trained.spec.shape), np.uint8)
        inputs[: len(images)] = [each.input_hxwxc for each in images]
        share = size // jax.process_count()
        own = inputs[jax.process_index() * share : (jax.process_index() + 1) * share]
        found = jax.device_get(compiled(trained.variables, mesh.put_batch(own, trained.devices)))
        outputs = {name: value[: len(images)] for name, value in found.items()}
        predictions = trained.task.postprocess(outputs, np.stack([each.content_4 for each in images]))
        return [map_over_input(score_map(predictions, i), each.input_hxwxc.shape[:2], each.content_4) for i, each in enumerate(images)]

    return maps


class ImageWithMap(NamedTuple):
    """An upright image in color, and its score map over it."""

    pixels_hxwxc: Uint8Array
    map_hxw: FloatArray


def heat_map_predictor(trained: TrainedModel) -> Callable[[Path], ImageWithMap]:
    """A function of a file that returns its image and the score map of its predicted class. Raises UserError for a task without maps."""
    maps = score_map_predictor(trained)
    if maps is None:
        task = trained.bundle.task
        problem = f"--heat-maps requires a task with score maps, such as localize_from_labels, got '{task}'"
        raise UserError(f"{problem}; possible: imgloc explain")

    def predict(path: Path) -> ImageWithMap:
        picture = as_picture(path, 3)
        prepared = prepare(picture, trained.spec)
        return ImageWithMap(picture.pixels_hxwxc, maps([Shown(prepared.input_hxwxc, prepared.content_4)])[0])

    return predict
