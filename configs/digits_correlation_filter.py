"""A correlation filter on the videos of `digits_tracking`: a classical control.

imgloc train --config digits_correlation_filter --workdir runs/digits_correlation_filter
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "track"
    config.data.source = "moving_digits"
    config.data.options.update(objects=3, distractors=0)
    config.data.max_objects = 3
    config.model.name = "correlation_filter"
    config.train.batch_size = 16
    config.train.steps = 8
    config.eval.batch_size = 50
    return config
