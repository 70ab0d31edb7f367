"""Running imgloc as users do, as a process of its own; and training without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parent.parent
HASTE = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # of LLVM, which takes half the time of compiling
# A recurrent localizer small enough that a whole run takes seconds.
TINY = (
    "--config=configs/digits_lstm.py",
    "--config.model.features=8",
    "--config.model.hidden=8",
    "--config.train.batch_size=16",
    "--config.train.steps=60",
    "--config.train.log_every=5",
    "--config.train.eval_every=20",
    "--config.train.save_every=10",
    "--config.eval.bootstrap_samples=200",
)


def environment(cache: Path, devices: int = 1) -> dict[str, str]:
    """The environment of a process: a compilation cache of the tests' own and a number of CPU devices.

    Several devices are one machine's cores, and each of several processes compiles for itself: they compile in haste.
    """
    variables = {**os.environ, "XDG_CACHE_HOME": str(cache), "JAX_PLATFORMS": "cpu"}
    if devices > 1:
        variables["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
        variables |= HASTE
    return variables


def start(
    *arguments: str, cache: Path, devices: int = 1, cwd: Path = ROOT, own_group: bool = False, module: str = "imgloc"
) -> subprocess.Popen[str]:
    """Start `python -m imgloc ...`; IMGLOC_TEST in its environment names its --workdir."""
    marked = environment(cache, devices)
    if "--workdir" in arguments:
        marked["IMGLOC_TEST"] = arguments[arguments.index("--workdir") + 1]
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=cwd, env=marked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=own_group,
    )  # fmt: skip


def run(
    *arguments: str, cache: Path, devices: int = 1, cwd: Path = ROOT, code: int = 0, module: str = "imgloc"
) -> subprocess.CompletedProcess[str]:
    """Run `python -m imgloc ...` to its end and check its exit code."""
    process = start(*arguments, cache=cache, devices=devices, cwd=cwd, module=module)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, f"exit code {process.returncode}, expected {code}\n{out}\n{err}"
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def train_here(*arguments: str, workdir: Path, stop: Any = None) -> str:
    """What `imgloc train` does, with the same bits but in this process: cheaper, where no signal, exit code or line is at stake."""
    from imgloc.config.recipes import read_recipe
    from imgloc.config.resolve import resolve
    from imgloc.training import start

    recipe, *overrides = arguments
    config = resolve(read_recipe(str(ROOT / recipe.removeprefix("--config="))), overrides)
    return start.train(config, str(workdir), stop=stop or SimpleNamespace(requested=False))
