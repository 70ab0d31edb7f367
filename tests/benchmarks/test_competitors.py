"""PyTorch's and Keras's models have the parameters of imgloc's, where they are installed (the extra `bench`)."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from benchmarks import works
from imgloc.config import registry
from tests import processes

COUNT = """
import json, sys
from benchmarks import works
side = sys.argv[1]
counts = {}
for work in (*works.STEP, *works.CELLS):
    if side in ("torch", "keras") and works.unavailable(work, side + ("_eager" if side == "torch" else "")):
        continue
    if side == "torch":
        from benchmarks.torch_models import make_model
        counts[work.name] = sum(p.numel() for p in make_model(work).parameters())
    elif side == "keras":
        from benchmarks.keras_models import make_model
        counts[work.name] = sum(int(v.value.size) for v in make_model(work).trainable_variables)
    elif work.name in sys.argv[2].split(",") or work.cell:
        import jax
        from benchmarks import jax_side
        init, _ = jax_side.train_functions(work, "cpu")
        counts[work.name] = sum(a.size for a in jax.tree.leaves(jax.eval_shape(init, 0).params))
print(json.dumps(counts))
"""
NEEDS = {
    "resnet18_64": "resnet", "resnet50_224": "resnet", "efficientnet_lite0_224_b1": "efficientnet_lite",
    "ram_mnist": "ram", "ram_cluttered": "ram",
}  # fmt: skip
COUNTED = ("three_layer_cnn_224", "digits_cnn_64", *NEEDS)
BIASES = {"torch": {"elman": 1, "irnn": 1, "lstm": 4, "gru": 2}, "keras": {"gru": 2}}  # further biases per unit than imgloc's
PUBLISHED = {"resnet18_64": 11_689_512, "resnet50_224": 25_557_032, "efficientnet_lite0_224_b1": 4_652_008}  # torchvision, timm


def counts(side: str) -> dict[str, int]:
    ours = [
        "three_layer_cnn_224",
        "digits_cnn_64",
        "lstm_28",
        *(work for work, module in NEEDS.items() if module in registry.names("models")),
    ]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", COUNT, side, ",".join(ours)]
    done = subprocess.run(command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return result


@pytest.mark.parametrize("side", ["torch", "keras"])
def test_models_have_the_same_number_of_parameters(side: str) -> None:
    if importlib.util.find_spec(side) is None:
        pytest.skip(f"{side} is not installed")
    ours, theirs = counts("imgloc"), counts(side)
    second_biases = 4 * 50 if side == "torch" else 0  # PyTorch's LSTM has two biases per gate
    assert theirs["lstm_28"] - second_biases == ours["lstm_28"]
    feedforward = [name for name in ours if name in COUNTED and not (side == "keras" and name in works.GLIMPSES)]
    assert {name: theirs[name] for name in feedforward} == {name: ours[name] for name in feedforward}
    cells = [work for work in works.CELLS if work.name in theirs]
    assert len(cells) == {"torch": 8, "keras": 9}[side]
    for work in cells:
        assert theirs[work.name] - BIASES[side].get(work.cell, 0) * work.units == ours[work.name], work.name
    assert {name: theirs[name] for name in PUBLISHED} == PUBLISHED


def test_imgloc_has_the_published_numbers_of_parameters() -> None:
    ours = counts("imgloc")
    assert ours["three_layer_cnn_224"] == 44_909_096  # 3x3 of 32, 64, 128; 26 x 26 x 128 to 512 to 1,000
    assert ours["lstm_28"] == 16_310
    assert {name: count for name, count in ours.items() if name in PUBLISHED}.items() <= PUBLISHED.items()


@pytest.mark.parametrize("implementation", ["torch_eager", "torch_channels_last", "keras", "keras_inner"])
def test_a_competitor_is_timed(implementation: str) -> None:
    from benchmarks import rounds

    if importlib.util.find_spec(works.IMPLEMENTATIONS[implementation]) is None:
        pytest.skip(f"{works.IMPLEMENTATIONS[implementation]} is not installed")
    for group, work in (("step", "lstm_28"), ("infer", "lstm_28_b1"), ("cells", "gru_rows")):
        spec = {"task": "time", "group": group, "work": work, "implementation": implementation, "setting": "box"}
        result = rounds.run_worker({**spec, "platform": "cpu", "quick": True}, "box")
        assert result.get("median_ms", 0) > 0, result
