"""A recipe with a sweep of three points that each take seconds."""

from __future__ import annotations

from collections.abc import Iterator

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.data.source = "tests.sweeps.squares"
    config.data.image_size = (16, 16)
    config.model.name = "tests.sweeps.line"
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.losses.giou = ConfigDict({"weight": 1.0})
    config.train.batch_size = 8
    config.train.steps = 200
    config.train.log_every = 10
    config.train.eval_every = 100
    config.train.save_every = 50
    config.eval.batch_size = 8
    config.eval.bootstrap_samples = 100
    return config


def sweep() -> Iterator[dict[str, object]]:
    for seed in range(3):
        yield {"optim.lr": 0.01, "seed": seed}
