"""Loading the bundle of a ResNet-50 beside restoring its training checkpoint: memory of real processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import processes

RECIPE = """
from ml_collections import ConfigDict
from imgloc.config.schema import base

def get_config():
    config = base()
    config.model.update(name="resnet", depth=50)
    config.losses.cross_entropy = ConfigDict()
    config.losses.giou = ConfigDict()
    config.optim.ema = 0.9
    config.train.update(steps=1, batch_size=2, eval_every=0)
    return config
"""
WRITE = """
import sys
from pathlib import Path
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.runs.run_dir import RunDir
from imgloc.training import checkpoint, setup
from imgloc.training.best_model import write_model

config, run = resolve(read_recipe(sys.argv[1])), RunDir(Path(sys.argv[2]))
parts = setup.set_up(config)
state = setup.initial_state(config, parts)
setup.begin_run(run, config, parts)
with checkpoint.open_manager(run.checkpoints) as manager:
    checkpoint.save(manager, state._replace(step=state.step + 1))
write_model(run, config, parts, state, [])
"""
MEASURE = """
import sys
import jax
from imgloc.devices import mesh
from imgloc.inference.load import open_model
from imgloc.runs.run_dir import open_run
from imgloc.training import checkpoint, setup

def kib(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

run, config = open_run(sys.argv[1])
parts = setup.set_up(config)  # both import, trace and allocate what they need beside arrays
target = mesh.placed(jax.eval_shape(parts.init, config.seed), parts.devices)
before = kib("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak counts from here
if sys.argv[2] == "bundle":
    kept = open_model(sys.argv[1]).variables
else:
    with checkpoint.open_manager(run.checkpoints, read_only=True) as manager:
        kept = checkpoint.restore(manager, manager.latest_step(), target)
jax.block_until_ready(kept)
print(kib("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is reset in /proc")
def test_a_bundle_takes_a_third_of_the_memory_of_a_checkpoint(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "recipe.py").write_text(RECIPE)

    def python(code: str, *arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, cwd=processes.ROOT, env=processes.environment(cache), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""

    python(WRITE, str(tmp_path / "recipe.py"), str(tmp_path / "run"))
    peak = {kind: int(python(MEASURE, str(tmp_path / "run"), kind)) for kind in ("bundle", "checkpoint")}
    print(f"MiB above what the process had before: { ({kind: kib // 1024 for kind, kib in peak.items()}) }")
    assert peak["checkpoint"] >= 3 * peak["bundle"]
