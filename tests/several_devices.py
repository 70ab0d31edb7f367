"""Runs on four devices and writes what tests/devices/test_devices.py checks to FOLDER/results.json.

python -m tests.several_devices FOLDER
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from imgloc.config.resolve import resolve
from imgloc.devices import runtime
from imgloc.types import Row

STEPS, STOPPED_AT = 20, 7
CNN = (
    "--config=configs/digits_three_layer_cnn.py",
    "--config.model.name=tests.small_cnn",
    "--config.optim.warmup_steps=0",
    "--config.optim.ema=0.9",
    "--config.train.batch_size=16",
    f"--config.train.steps={STEPS}",
    "--config.train.log_every=1",
    "--config.train.eval_every=10",
    "--config.train.save_every=1",
    "--config.eval.batch_size=64",
    "--config.eval.bootstrap_samples=100",
)


class StopAt:
    """A stop request before a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left < 0


def resolved(*overrides: str) -> ConfigDict:
    from imgloc.config.recipes import read_recipe

    return resolve(read_recipe("configs/digits_three_layer_cnn.py"), [*CNN[1:], *overrides])


def train_steps(*overrides: str) -> dict[str, Any]:
    """The losses of all steps, the bytes of the state, the memory of the compiled step, and the number of parts of each array."""
    import jax

    from imgloc.training import loop, setup

    config = resolved(*overrides)
    parts = setup.set_up(config)
    state = setup.initial_state(config, parts)
    batches = loop.open_batches(config, parts, 0)
    losses = []
    for index in range(STEPS):
        (batch,) = next(batches)
        if index == 0:
            numbers = parts.train_step.args[0]
            compiled = parts.train_step.func.lower(numbers, state, batch).compile()
            memory = compiled.memory_analysis()
        state, metrics = compiled(numbers, state, batch)
        losses.append(float(metrics["loss"]))  # blocks
    leaves = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    return {
        "losses": losses,
        "bytes": sum(leaf.addressable_shards[0].data.nbytes for leaf in leaves.values()),
        "all_bytes": sum(leaf.nbytes for leaf in leaves.values()),
        "arguments": memory.argument_size_in_bytes,
        "peak": memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "parts": {name: math.prod(leaf.shape) // leaf.addressable_shards[0].data.size for name, leaf in leaves.items()},
    }


def train_and_stop(workdir: Path, *overrides: str) -> str:
    """Train in a run folder up to a step, from which others continue."""
    from imgloc.training import loop

    return loop.train(resolved(*overrides), str(workdir), stop=StopAt(STOPPED_AT))


def rows(workdir: Path, *, fsdp: int, batch_size: int) -> list[Row]:
    """The rows of the test split by the last checkpoint of a run."""
    from imgloc.config import build
    from imgloc.devices import mesh
    from imgloc.evaluation.predictors import MODEL
    from imgloc.inference import predict
    from imgloc.inference.load import find_bundle, load_model

    devices = mesh.evaluation_mesh(fsdp)
    assert devices.shape["fsdp"] == fsdp
    trained = load_model(find_bundle(workdir, "last"), devices)
    compiled = predict.compiled_predict(trained.module, trained.task, devices, trained.dtype)
    predictor = predict.model_predict(trained.variables, compiled, devices)
    source = build.make_source(trained.config.data, "test", 0)
    return predict.predict_rows(
        {MODEL: predictor}, source, trained.task, "test", batch_size=batch_size, spec=trained.spec, threads=1
    )[MODEL]  # fmt: skip


def run_command(*arguments: str) -> dict[str, Any]:
    """The exit code and the error output of a command."""
    from imgloc.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        code = main.main(list(arguments))
    return {"code": code, "err": err.getvalue()}


def main(folder: Path) -> None:
    runtime.prepare()
    import jax

    assert len(jax.devices()) == 4
    results = {
        "replicated": train_steps(),
        "sharded": train_steps("--config.devices.fsdp=4"),
        "stopped": train_and_stop(folder / "stopped", "--config.devices.fsdp=4"),
        "rows": {f"fsdp {fsdp}": rows(folder / "one", fsdp=fsdp, batch_size=64) for fsdp in (1, 4)},
        "indivisible": run_command("train", *CNN, "--config.train.batch_size=18", "--workdir", str(folder / "no")),
    }
    (folder / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
