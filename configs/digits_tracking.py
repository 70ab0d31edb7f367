"""A recurrent tracker of moving digits that pass behind occluders for 5 to 15 frames.

imgloc train --config digits_tracking --workdir runs/digits_tracking
"""

from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "track"
    config.data.source = "moving_digits"
    config.data.options.update(objects=3, distractors=0)
    config.data.max_objects = 3
    config.model.update(name="recurrent_tracker")
    config.losses.track_box = ConfigDict({"weight": 1.0})
    config.losses.track_score = ConfigDict({"weight": 0.2})
    config.optim.lr = 1e-3
    config.optim.warmup_steps = 100
    config.optim.clip_norm = 1.0
    config.train.batch_size = 16
    config.train.steps = 3000
    config.eval.batch_size = 50
    return config


def sweep() -> Iterator[dict[str, Any]]:
    """The recurrent tracker and the one of two frames, with 3 seeds."""
    for model in ("recurrent_tracker", "two_frame_tracker"):
        for seed in range(3):
            yield {"model.name": model, "seed": seed}
