"""The config of a run that makes the model of another run smaller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ml_collections import ConfigDict

from imgloc.config.overrides import override_keys
from imgloc.config.resolve import resolve
from imgloc.config.schema import copied
from imgloc.errors import UserError, unknown
from imgloc.inference.bundle import VARIABLES
from imgloc.runs.run_dir import RunDir, open_run

DEFAULT_SPARSITY = 0.75
CALIBRATION_STEPS = 20  # of quantization without training: batch normalization sees the rounded weights
LR_FACTOR = 0.2  # of the learning rate of the run, for what starts from its weights


def _magnitude(config: ConfigDict, run: str) -> None:
    config.compression.sparsity, config.compression.prune_during = DEFAULT_SPARSITY, (0.0, 0.0)


def _gradual(config: ConfigDict, run: str) -> None:
    config.compression.sparsity, config.compression.prune_during = DEFAULT_SPARSITY, (0.0, 0.5)


def _structured(config: ConfigDict, run: str) -> None:
    config.compression.structured = True


def _quantize(config: ConfigDict, run: str) -> None:
    config.compression.int8, config.compression.calibration = True, "mse"


def _qat(config: ConfigDict, run: str) -> None:
    config.compression.int8 = True


def _distill(config: ConfigDict, run: str) -> None:
    config.compression.teacher = run


METHODS: Mapping[str, Callable[[ConfigDict, str], None]] = MappingProxyType(
    {
        "magnitude": _magnitude,
        "gradual": _gradual,
        "structured": _structured,
        "quantize": _quantize,
        "qat": _qat,
        "distill": _distill,
    }
)


def compressed_config(run: str, methods: Sequence[str], arguments: Sequence[str] = ()) -> ConfigDict:
    """The config of a run that starts from the best model of `run` and applies `methods`, with command-line overrides.

    It starts from the weights of the run, unless the overrides change the model, and trains for as many steps with a fifth of the
    learning rate. `structured` starts a narrower model, whose widths the overrides set, from the channels that matter most.
    `quantize` alone trains nothing: 20 steps without a learning rate adapt the averages of batch normalization.
    Raises UserError for an unknown method, and for two that exclude each other.
    """
    for name in methods:
        if name not in METHODS:
            raise unknown("method", name, METHODS)
    for pair in ({"magnitude", "gradual"}, {"quantize", "qat"}):
        if pair <= set(methods):
            raise UserError(f"--method: {' and '.join(sorted(pair))} exclude each other; choose one of them")
    config = copied(open_run(run)[1])
    config.compression.structured = False  # of an earlier compression
    for name in methods:
        METHODS[name](config, run)
    changed = any(key.startswith("model.") for key in override_keys(arguments))
    if config.compression.structured and not changed:
        raise UserError("--method structured needs the widths that remain; add fields of the model, such as --config.model.hidden=64")
    smaller = changed and not config.compression.structured
    config.model.pretrained, config.train.init_from, config.train.init_skip = "", "" if smaller else run, ()
    if list(methods) == ["quantize"] and not changed:
        config.train.steps = config.train.eval_every = config.train.save_every = CALIBRATION_STEPS
        config.optim.lr, config.optim.warmup_steps, config.optim.ema = 0.0, 0, 0.0
    elif not smaller:
        config.optim.lr *= LR_FACTOR
    return resolve(config, arguments)


def model_bytes(run: str | Path) -> int:
    """The size in bytes of the file with the variables of the best model of a run."""
    return (RunDir(Path(run)).model / VARIABLES).stat().st_size
