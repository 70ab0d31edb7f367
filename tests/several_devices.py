"""A process with four devices: what tests/test_devices.py wants to know of them, written to FOLDER/found.json.

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

from imgloc.config.resolve import resolve
from imgloc.devices import runtime

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
    "--config.eval.resamples=100",
)


class StopAt:
    """A stop request that comes before a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left < 0


def resolved(*overrides: str) -> Any:
    from imgloc.config.recipes import read_recipe

    return resolve(read_recipe("configs/digits_three_layer_cnn.py"), [*CNN[1:], *overrides])


def trained(*overrides: str) -> dict[str, Any]:
    """Losses of all steps, bytes of the state on one device, memory of the compiled step, and in how many parts each array is."""
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
            compiled = parts.train_step.lower(state, batch).compile()
            memory = compiled.memory_analysis()
        state, metrics = compiled(state, batch)
        losses.append(float(metrics["loss"]))  # waited for
    leaves = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(state)}
    return {
        "losses": losses,
        "bytes": sum(leaf.addressable_shards[0].data.nbytes for leaf in leaves.values()),
        "all_bytes": sum(leaf.nbytes for leaf in leaves.values()),
        "arguments": memory.argument_size_in_bytes,
        "at_most": memory.argument_size_in_bytes + memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "split": {name: math.prod(leaf.shape) // leaf.addressable_shards[0].data.size for name, leaf in leaves.items()},
    }


def stopped(workdir: Path, *overrides: str) -> str:
    """Train up to a step in a run folder, which others go on with."""
    from imgloc.training import loop

    return loop.train(resolved(*overrides), str(workdir), stop=StopAt(STOPPED_AT))


def rows(workdir: Path, *, fsdp: int, batch_size: int) -> Any:
    """Rows of the test split, by the run's last checkpoint."""
    from imgloc.config import build
    from imgloc.devices import mesh
    from imgloc.inference import predict
    from imgloc.runs import run_dir
    from imgloc.types import InputSpec

    devices = mesh.evaluation_mesh(fsdp)
    assert devices.shape["fsdp"] == fsdp
    run, config = run_dir.open_run(str(workdir))
    variables, _ = predict.load_variables(run, config, (64, 64, 1), 10, "last", devices)
    compiled = predict.compiled_predict(build.make_model(config.model, 10), devices, "float32")
    predictor = predict.model_predict(variables, compiled, devices)
    return predict.predict_rows(
        {"model": predictor}, build.make_source(config.data, "test", 0), build.make_task("locate"), "test",
        batch_size=batch_size, view=InputSpec((64, 64, 1)), threads=1,
    )["model"]  # fmt: skip


def told(*arguments: str) -> dict[str, Any]:
    """Exit code, and what a command says."""
    from imgloc.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(out):
        code = main.main(list(arguments))
    return {"code": code, "err": err.getvalue()}


def main(folder: Path) -> None:
    runtime.prepare()
    import jax

    assert len(jax.devices()) == 4
    found = {
        "copied": trained(),
        "split": trained("--config.devices.fsdp=4"),
        "stopped": stopped(folder / "stopped", "--config.devices.fsdp=4"),
        "rows": {f"fsdp {fsdp}": rows(folder / "one", fsdp=fsdp, batch_size=64) for fsdp in (1, 4)},
        "indivisible": told("train", *CNN, "--config.train.batch_size=18", "--workdir", str(folder / "no")),
    }
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
