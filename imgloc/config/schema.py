"""Every key of a config with its default and its meaning; checking configs and saving them as JSON.

A recipe in configs/ starts from `base()` and sets what differs. The sections `model`, `data.options`, `data.augment` and each entry of
`losses` also take the keyword options of the file that they name. `imgloc.config.resolve.complete` fills these in, so that a saved
config has every value that its run used.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from imgloc import files
from imgloc.config.renames import unknown_name
from imgloc.errors import UserError

POSITIVE = ("train.steps", "train.batch_size", "train.grad_accum_steps", "train.steps_per_call", "train.log_every", "train.save_every",
            "compression.prune_every",
            "eval.batch_size", "eval.bootstrap_samples")  # fmt: skip
NOT_NEGATIVE = ("seed", "train.epochs", "train.eval_every", "train.patience", "data.threads", "data.workers", "data.prefetch",
                "data.max_objects", "data.train_images", "eval.gallery", "optim.lr", "optim.warmup_steps", "optim.weight_decay",
                "optim.clip_norm")  # fmt: skip
RANGES = (  # keys, the lowest value, one that is too high, the condition as an error states it
    (POSITIVE, 1, math.inf, "at least 1"),
    (NOT_NEGATIVE, 0, math.inf, "at least 0"),
    (("data.max_unusable", "compression.teacher_weight"), 0, 1.000001, "from 0 to 1"),
    (("compression.sparsity",), 0, 1, "at least 0 and below 1"),
    (("optim.ema", "optim.b1", "optim.b2"), 0, 1, "at least 0 and below 1"),
    (("seed", "train.steps"), 0, 2**31, "below 2147483648"),
    (("train.batch_size", "eval.batch_size"), 1, 10**6, "below 1000000"),
    (("data.max_objects",), 0, 100_001, "at most 100000"),
    (("data.train_images",), 0, 10**7 + 1, "at most 10000000"),
    (("train.steps_per_call",), 1, 1001, "at most 1000"),
    (("data.threads", "data.workers"), 0, 1025, "at most 1024"),
    (("eval.bootstrap_samples",), 1, 100_001, "at most 100000"),
)
CALIBRATIONS = ("max", "percentile", "mse")  # of imgloc/nn/quantization.py
# Inputs of the compiled training step, so that runs that differ only in these share a program; see imgloc/training/hyperparameters.py.
INPUTS = ("optim.lr", "optim.b1", "optim.b2", "optim.eps", "optim.weight_decay", "optim.clip_norm", "optim.ema")
SCORED_AFTER_TRAINING = ("", *(split + which for split in ("test", "validation", "train") for which in ("", "@last")))


def base() -> ConfigDict:
    """A config with every key at its default."""
    config = ConfigDict()
    config.seed = 0  # of initialization, order, augmentation and dropout
    config.task = "localize"  # the kind of answer: a file in imgloc/tasks, or a dotted module of your own

    # The layout of arrays on devices. It is not part of a run's identity: a run may be resumed and scored with another one.
    config.devices = ConfigDict()
    config.devices.data = -1  # groups of devices, each with a copy of all parameters; -1: as many as the devices allow
    config.devices.fsdp = 1  # devices of a group: parameters, averages and optimizer state are split over them to save memory

    # Services that the log of training is also sent to: files in imgloc/training/loggers, or dotted modules of your own. Like
    # `devices`, they are not part of a run's identity: a run may be resumed with others.
    config.loggers = ()  # names, such as ("wandb",); TensorBoard's files are always written

    config.data = ConfigDict()
    config.data.source = "scattered_digits"  # a file in imgloc/data/sources, or a dotted module of your own
    config.data.options = ConfigDict()  # the source's keyword options
    config.data.train_images = 0  # of the training split that are used, the same for every seed; 0: all of them
    config.data.image_size = (64, 64)  # height and width that images are resized to
    config.data.resize = "stretch"  # to that size: stretch, or letterbox (the aspect ratio is kept, the rest is black)
    config.data.augment = ConfigDict()  # augmentation of training images
    config.data.augment.name = "none"  # a file in imgloc/data/augmentations, or a dotted module of your own; the rest: its options
    # Transforms of training batches on the device, in this order: files in imgloc/data/batch_transforms, or dotted modules of your own.
    config.data.batch_transforms = ()  # each is a name, or a dict of a name and options: {"name": "horizontal_flip", "probability": 0.5}
    # Operations between images and the model, on the device: files in imgloc/operations, or dotted modules of your own. The maps of an
    # operation replace the channels so far, or are added to them with `keep`.
    config.data.preprocess = ()  # each is a name, or a dict of a name and options: {"name": "canny", "sigma": 2.0, "keep": True}
    config.data.max_unusable = 0.1  # highest share of images, or of boxes, that may be unusable; 1: files without any use too
    # Boxes kept of an image: first those of the image's own class, then by size; 0: as many as the training image with the most has.
    config.data.max_objects = 1  # a resolved config has that number
    config.data.threads = 1  # that prepare batches ahead
    config.data.workers = 0  # processes that prepare batches ahead instead of threads, for costly decoding
    config.data.prefetch = 2  # batches transferred to the devices ahead

    config.model = ConfigDict()
    config.model.name = ""  # a file in imgloc/models, or a dotted module of your own; the rest: its fields

    # Published weights that training starts from: a file in imgloc/pretrained, or a dotted module of your own; NAME:FILE or
    # NAME:hf://OWNER/REPOSITORY for other files with the same tensors; "": none. See docs/pretrained.md.
    config.model.pretrained = ""  # the fields of the model that they need are set

    # name of an entry -> weight, the loss's keyword options, and `name` where the entry is called otherwise
    config.losses = ConfigDict()

    config.optim = ConfigDict()
    config.optim.name = "adamw"  # adamw (Adam where weight_decay is 0), lion (arXiv:2302.06675) or sgd (momentum b1)
    config.optim.lr = 1e-3  # the highest learning rate
    config.optim.schedule = "cosine"  # after the warmup: cosine to zero, or constant
    config.optim.warmup_steps = 0  # steps of linear warmup from zero
    config.optim.b1 = 0.9
    config.optim.b2 = 0.999
    config.optim.eps = 1e-8
    config.optim.weight_decay = 0.0  # decoupled from the gradient
    config.optim.weight_decay_exclude = ("bias$", "scale$")  # patterns of parameters (a/b/c) without weight decay
    config.optim.frozen = ()  # patterns of variables (a/b/c) that keep their values; batch normalization then uses its stored statistics
    config.optim.lr_scale = ()  # pairs of a pattern of parameters and a factor of their learning rate; the first that matches holds
    config.optim.clip_norm = 0.0  # largest global norm of the gradient; 0: off
    config.optim.ema = 0.0  # decay of the moving average of parameters that evaluation uses; 0: off

    config.train = ConfigDict()
    config.train.steps = 1000
    config.train.epochs = 0.0  # passes through the training split instead of steps; a resolved config has them as train.steps; 0: none
    config.train.batch_size = 64  # of all devices together
    config.train.grad_accum_steps = 1  # parts that a batch is processed in to save memory; their gradients are averaged
    config.train.dtype = "float32"  # of the computation: float32 or bfloat16; parameters stay float32
    config.train.steps_per_call = 1  # in one compiled call; above 1 pays for dense layers whose step takes a few milliseconds
    config.train.log_every = 50  # steps between lines of metrics.jsonl
    config.train.eval_every = 500  # steps between evaluations on the validation split; 0: none
    config.train.save_every = 500  # steps between checkpoints
    config.train.best_metric = ""  # of validation, whose best value chooses the best model; "": that of the task
    config.train.patience = 0  # evaluations without improvement before training stops; 0: off
    config.train.init_from = ""  # a run folder whose best model training starts from
    config.train.init_skip = ()  # patterns of parameters (a/b/c) that keep their initial values

    # What makes a model smaller, during a training that mostly starts from another run (imgloc compress). See docs/compression.md.
    config.compression = ConfigDict()
    config.compression.sparsity = 0.0  # share of the weights of each kernel that is 0 at the end; 0: no pruning
    config.compression.prune_during = (0.0, 0.5)  # shares of the steps between which weights are pruned; equal ones: all at once
    config.compression.prune_every = 20  # steps between two choices of the weights that stay
    config.compression.structured = False  # train.init_from is a wider model, whose channels with the largest scales or norms are kept
    config.compression.int8 = False  # kernels as 8-bit integers with a scale for each output; training rounds them, too
    config.compression.calibration = "max"  # what a scale is chosen by: max, percentile (99.9) or mse, of the weights of its output
    config.compression.exclude = ()  # patterns of kernels (a/b/c) that stay as they are, besides those with fewer than 16 outputs
    config.compression.teacher = ""  # a run folder whose best model's answers are mixed into the truth
    config.compression.teacher_weight = 0.5  # their share

    config.eval = ConfigDict()
    config.eval.batch_size = 100
    config.eval.after_training = ""  # a split to score after training: test, validation or train; test@last: by the last model; "": none
    config.eval.metrics = ()  # dotted modules of your own with METRICS, besides those of imgloc
    config.eval.bootstrap_samples = 2000  # samples of the bootstrap behind each interval
    config.eval.gallery = 12  # images kept of the best, the median and the worst examples each
    return config


def check_keys(config: ConfigDict) -> None:
    """Raises UserError for keys that `base()` does not declare, missing keys, and values of another type."""
    _check_section(config, base(), "")


def _check_section(config: ConfigDict, declared: ConfigDict, prefix: str) -> None:
    free = prefix + "*" in ("model.*", "losses.*", "data.options.*", "data.augment.*")
    for key, value in config.items():
        if not isinstance(key, str) or not key.isidentifier():
            raise UserError(f"config key {prefix}{key!r} is not a name; possible: letters, digits and _")
        if key not in declared:
            if free:
                continue
            raise unknown_name("config key", prefix + key, [prefix + name for name in declared])
        default = declared[key]
        if isinstance(default, ConfigDict):
            if not isinstance(value, ConfigDict):
                raise UserError(f"{prefix}{key} must be a section of keys, got {value!r}")
            _check_section(value, default, f"{prefix}{key}.")
        else:
            check_type(prefix + key, value, default)
    missing = [key for key in declared if key not in config]
    if missing:
        raise UserError(f"config has no key '{prefix}{missing[0]}'; start from imgloc.config.schema.base()")


def check_ranges(config: ConfigDict) -> None:
    """Raises UserError for values out of range, such as no steps, an empty batch or a decay of 1."""
    for keys, low, below, condition in RANGES:
        for key in keys:
            value = functools.reduce(getattr, key.split("."), config)
            if not low <= value < below:
                raise UserError(f"{key} must be {condition}, got {value}")
    for key, entry in config.losses.items():
        if not entry.weight >= 0:
            raise UserError(f"losses.{key}.weight must be at least 0 (0: off), got {entry.weight}")
    size = config.data.image_size
    if len(size) != 2 or not all(isinstance(side, int) and 0 < side <= 16_384 for side in size):
        raise UserError(f"data.image_size must be (height, width) in pixels, each from 1 to 16384, got {size}")
    during = config.compression.prune_during
    if len(during) != 2 or not 0 <= during[0] <= during[1] <= 1:
        raise UserError(f"compression.prune_during must be two shares of the steps from 0 to 1, in order, got {during}")
    if config.compression.calibration not in CALIBRATIONS:
        raise unknown_name("calibration (compression.calibration)", config.compression.calibration, CALIBRATIONS)
    if config.eval.after_training not in SCORED_AFTER_TRAINING:
        raise unknown_name("split (eval.after_training)", config.eval.after_training, filter(None, SCORED_AFTER_TRAINING))


def check_type(key: str, value: Any, default: Any) -> None:
    """Raises UserError for a value of another type than its default; an int is accepted as a float, a list as a tuple."""
    if isinstance(default, bool) or isinstance(value, bool):
        right = isinstance(default, bool) and isinstance(value, bool)
    elif isinstance(default, float):
        right = isinstance(value, (int, float))
    elif isinstance(default, (tuple, list)):
        right = isinstance(value, (tuple, list))
        kind = default[0] if default else ""  # an empty default is a tuple of text
        for item in (
            value if right and not key.endswith(("batch_transforms", "preprocess", "lr_scale")) else ()
        ):  # checked where they are used
            check_type(f"{key} (an entry)", item, kind)
    else:
        right = isinstance(value, type(default))
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key} must be a finite number, got {value}")
    if not right:
        raise UserError(f"{key} must be of type {type(default).__name__}, such as {default!r}, got {value!r}")


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
    """The config that `to_json` returned as values; lists become tuples."""

    def tuples(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: tuples(item) for key, item in value.items()}
        return tuple(tuples(item) for item in value) if isinstance(value, list) else value

    return ConfigDict({"loggers": (), **tuples(values)})  # runs from before there were loggers have no such key


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of `to_json` without `devices` and `loggers`, which do not change the numbers of a run."""
    return {key: value for key, value in values.items() if key not in ("devices", "loggers")}


def fingerprint(config: ConfigDict) -> str:
    """16 hex digits that identify the config: a hash of every key and value of its `identity`."""
    return files.fingerprint(identity(to_json(config)))


def fingerprint_without_seed(config: ConfigDict) -> str:
    """Return a fingerprint of a config without its seed, the same for the runs of one config with several seeds."""
    values = identity(to_json(config))
    del values["seed"]
    return files.fingerprint(values)
