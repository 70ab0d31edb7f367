"""Every key of a config, its default and what it means; checking and saving configs.

A recipe in configs/ starts from `base()` and says what differs. The sections `model`, `data.options`, `data.augment`
and each entry of `losses` also take the keyword options of what they name; `imgloc.config.build.complete`
fills those in, so a saved config holds every value that a run was made with.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from imgloc import files
from imgloc.config.renames import unknown
from imgloc.errors import UserError

POSITIVE = ("train.steps", "train.batch_size", "train.grad_accum_steps", "train.steps_per_call", "train.log_every", "train.save_every",
            "data.max_objects", "eval.batch_size", "eval.bootstrap_samples")  # fmt: skip
NOT_NEGATIVE = ("seed", "train.epochs", "train.eval_every", "train.patience", "data.threads", "data.workers", "data.prefetch",
                "eval.gallery", "optim.lr", "optim.warmup_steps", "optim.weight_decay", "optim.clip_norm")  # fmt: skip
RANGES = (  # keys, the lowest value, one that is too high, what is said of a value outside
    (POSITIVE, 1, math.inf, "is {}; possible: at least 1"),
    (NOT_NEGATIVE, 0, math.inf, "is {}; possible: at least 0"),
    (("optim.ema", "optim.b1", "optim.b2"), 0, 1, "is {}; possible: 0 up to, not including, 1"),
    (("seed", "train.steps"), 0, 2**31, "is too large; possible: below 2147483648"),
    (("train.batch_size", "eval.batch_size"), 1, 10**6, "is too large; possible: below 1000000"),
    (("data.max_objects",), 1, 100_001, "is {}; possible: up to 100000"),
    (("train.steps_per_call",), 1, 1001, "is {}; possible: up to 1000"),
    (("data.threads", "data.workers"), 0, 1025, "is {}; possible: up to 1024"),
)


SCORED_AFTER_TRAINING = ("", *(split + which for split in ("test", "validation", "train") for which in ("", "@last")))


def base() -> ConfigDict:
    """A config with every key at its default."""
    config = ConfigDict()
    config.seed = 0  # of initialization, order, augmentation and dropout
    config.task = "localize"  # a file in imgloc/tasks: what kind of answer is scored

    # How a run lies on its devices. No part of what the run is: it may go on, and is scored, on others.
    config.devices = ConfigDict()
    config.devices.data = -1  # parts of the devices that each keep a copy of all parameters; -1: as many as there are devices for
    config.devices.fsdp = 1  # devices of such a part: parameters, averages and optimizer state are split over them to save memory

    config.data = ConfigDict()
    config.data.source = "scattered_digits"  # a file in imgloc/data/sources, or a dotted module of your own
    config.data.options = ConfigDict()  # the source's keyword options
    config.data.image_size = (64, 64)  # height and width that images are resized to
    config.data.resize = "stretch"  # how images get that size: stretch, or letterbox (sides keep their ratio, what is left is black)
    config.data.augment = ConfigDict()  # what is done to images of training
    config.data.augment.name = "none"  # a file in imgloc/data/augmentations, or a dotted module of your own; the rest: its options
    # changes of training batches on the device, in this order: files in imgloc/data/batch_transforms, or dotted modules of your own,
    config.data.batch_transforms = ()  # each as its name or as a dict of its name and options: {"name": "horizontal_flip", ...}
    config.data.max_objects = 1  # boxes kept of an image: those of its own class first, the largest of them before others
    config.data.threads = 1  # that make batches ahead
    config.data.workers = 0  # processes that make batches ahead instead, for costly decoding
    config.data.prefetch = 2  # batches put onto the devices ahead

    config.model = ConfigDict()
    config.model.name = ""  # a file in imgloc/models, or a dotted module of your own; the rest: its fields

    # name of an entry -> weight, the loss's keyword options, and `name` where the entry is called otherwise
    config.losses = ConfigDict()

    config.optim = ConfigDict()
    config.optim.name = "adamw"  # adamw (Adam where weight_decay is 0) or sgd (momentum b1)
    config.optim.lr = 1e-3  # the highest
    config.optim.schedule = "cosine"  # after the warmup: cosine to zero, or constant
    config.optim.warmup_steps = 0  # of linear rise from zero
    config.optim.b1 = 0.9
    config.optim.b2 = 0.999
    config.optim.eps = 1e-8
    config.optim.weight_decay = 0.0  # decoupled from the gradient
    config.optim.weight_decay_exclude = ("bias$", "scale$")  # parameters (a/b/c) matching one are spared
    config.optim.clip_norm = 0.0  # of the whole gradient; 0: off
    config.optim.ema = 0.0  # decay of an average of parameters that evaluation uses; 0: off

    config.train = ConfigDict()
    config.train.steps = 1000
    config.train.epochs = 0.0  # passes through the training split instead: a resolved config has them as train.steps; 0: none
    config.train.batch_size = 64  # of all devices together
    config.train.grad_accum_steps = 1  # parts that a batch is worked through in, to save memory
    config.train.dtype = "float32"  # of the computation: float32 or bfloat16; parameters stay float32
    config.train.steps_per_call = 1  # done in one compiled call; above 1 pays where a step of dense layers is a few milliseconds
    config.train.log_every = 50  # steps between lines of metrics.jsonl
    config.train.eval_every = 500  # steps between evaluations on the validation split; 0: none
    config.train.save_every = 500  # steps between checkpoints
    config.train.best_metric = ""  # of validation: the model with its best value is kept; a resolved config has that of the task for ""
    config.train.patience = 0  # evaluations without a better one before training stops; 0: off
    config.train.init_from = ""  # a run folder whose parameters training starts from
    config.train.init_skip = ()  # parameters (a/b/c) matching a pattern here start fresh

    config.eval = ConfigDict()
    config.eval.batch_size = 100
    config.eval.after_training = ""  # what is scored when training has finished: test, or test@last for the last checkpoint; "": nothing
    config.eval.bootstrap_samples = 2000  # behind each interval
    config.eval.gallery = 12  # pictures kept of the best, the median and the worst cases each
    return config


def check_keys(config: ConfigDict) -> None:
    """Refuse keys that `base()` does not declare and values of another type."""
    _check_section(config, base(), "")


def _check_section(config: ConfigDict, declared: ConfigDict, prefix: str) -> None:
    free = prefix + "*" in ("model.*", "losses.*", "data.options.*", "data.augment.*")
    for key, value in config.items():
        if not isinstance(key, str) or not key.isidentifier():
            raise UserError(f"config key {prefix}{key!r} is not a name; possible: letters, digits and _")
        if key not in declared:
            if free:
                continue
            raise unknown("config key", prefix + key, [prefix + name for name in declared])
        default = declared[key]
        if isinstance(default, ConfigDict):
            if not isinstance(value, ConfigDict):
                raise UserError(f"config key '{prefix}{key}' is a section; got {value!r}")
            _check_section(value, default, f"{prefix}{key}.")
        else:
            check_type(prefix + key, value, default)
    missing = [key for key in declared if key not in config]
    if missing:
        raise UserError(f"config has no key '{prefix}{missing[0]}'; start from imgloc.config.schema.base()")


def check_ranges(config: ConfigDict) -> None:
    """Refuse numbers that make no sense: no steps, an empty batch, a decay of 1."""
    for keys, low, below, problem in RANGES:
        for key in keys:
            value = functools.reduce(getattr, key.split("."), config)
            if not low <= value < below:
                raise UserError(f"config key '{key}' {problem.format(value)}")
    for key, entry in config.losses.items():
        if not entry.weight >= 0:
            raise UserError(f"config key 'losses.{key}.weight' is {entry.weight}; possible: at least 0 (0: off)")
    size = config.data.image_size
    if len(size) != 2 or not all(isinstance(side, int) and 0 < side <= 16_384 for side in size):
        raise UserError(f"config key 'data.image_size' is {size}; possible: (height, width) in pixels, up to 16384")
    if config.eval.after_training not in SCORED_AFTER_TRAINING:
        raise unknown("split (eval.after_training)", config.eval.after_training, filter(None, SCORED_AFTER_TRAINING))


def check_type(key: str, value: Any, default: Any) -> None:
    """Refuse a value of another type than its default; an int serves as a float, a list as a tuple."""
    if isinstance(default, bool) or isinstance(value, bool):
        right = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, float):
        right = isinstance(value, (int, float))
    elif isinstance(default, (tuple, list)):
        right = isinstance(value, (tuple, list))
        kind = default[0] if default else ""  # an empty default is a tuple of patterns
        for item in value if right and not key.endswith("batch_transforms") else ():  # whose entries `resolve` checks
            check_type(f"{key} (an entry)", item, kind)
    else:
        right = isinstance(value, type(default))
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"config key '{key}' is {value}; possible: a finite number")
    if not right:
        raise UserError(f"config key '{key}' wants {type(default).__name__} such as {default!r}; got {value!r}")


def copied(config: ConfigDict) -> ConfigDict:
    """A copy that shares nothing with the config and is not locked."""
    return ConfigDict(config.to_dict())


def leaves(config: ConfigDict, prefix: str = "") -> list[str]:
    """The dotted names of all values of a config."""
    names: list[str] = []
    for key, value in config.items():
        names += leaves(value, f"{prefix}{key}.") if isinstance(value, ConfigDict) else [prefix + key]
    return names


def to_json(config: ConfigDict) -> dict[str, Any]:
    """Plain JSON values; tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(config.to_dict(), allow_nan=False))
    return plain


def from_json(values: Mapping[str, Any]) -> ConfigDict:
    """The config that `to_json` wrote; lists become tuples."""

    def tuples(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: tuples(item) for key, item in value.items()}
        return tuple(tuples(item) for item in value) if isinstance(value, list) else value

    return ConfigDict(tuples(values))


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """What `to_json` wrote without `devices`: those decide how quickly a run's numbers come, not which."""
    return {key: value for key, value in values.items() if key != "devices"}


def fingerprint(config: ConfigDict) -> str:
    """What tells this config from others: 16 hex digits over every key and value of its `identity`."""
    return files.fingerprint(identity(to_json(config)))
