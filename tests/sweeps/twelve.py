"""A sweep of twelve short points: three learning rates with four seeds each."""

from __future__ import annotations

from collections.abc import Iterator

from ml_collections import ConfigDict

from tests.sweeps import recipe


def get_config() -> ConfigDict:
    config = recipe.get_config()
    config.train.steps, config.train.eval_every, config.train.save_every = 80, 40, 20
    return config


def sweep() -> Iterator[dict[str, object]]:
    for rate in (0.003, 0.01, 0.03):
        for seed in range(4):
            yield {"optim.lr": rate, "seed": seed}
