"""Measures what one image and eight images cost in JAX and in exported files: milliseconds, median of interleaved rounds.

    python experiments/deployment/run.py [--models cnn lstm ...] [--rounds 5] [--out results.json]

Models have random variables, since only time is measured. All runtimes use one thread. PyTorch and OpenVINO are measured by
`python -m benchmarks` and `benchmark_app`; here are the files that `imgloc export` writes.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

MODELS: dict[str, tuple[str, dict[str, Any], tuple[int, int, int], int]] = {
    "digits CNN": ("second_look", {}, (64, 64, 1), 10),
    "digits LSTM": ("recurrent", {}, (64, 64, 1), 10),
    "LSTM(50), 28 rows": ("sequence", {"features": 50}, (28, 28, 1), 10),
    "EfficientNet-Lite0": ("efficientnet_lite", {}, (224, 224, 3), 1000),
}
BATCHES = (1, 8)


def function_of(name: str) -> tuple[Callable[[Any], dict[str, Any]], tuple[int, int, int]]:
    """A model with random variables as a function of uint8 images."""
    import jax

    from imgloc.config import registry
    from imgloc.inference.predict import abstract_variables
    from imgloc.nn.apply import predict_step

    model_name, fields, shape, classes = MODELS[name]
    model = registry.find("models", model_name).Model(num_classes=classes, **fields)
    rng = np.random.default_rng(0)

    def draw(path: Any, aval: Any) -> Any:
        if path[-1].key in ("scale", "var"):
            return np.ones(aval.shape, aval.dtype)
        return (rng.standard_normal(aval.shape) * max(1, np.prod(aval.shape[:-1])) ** -0.5).astype(aval.dtype)

    variables = jax.tree_util.tree_map_with_path(draw, abstract_variables(model, shape, model_name))

    def function(images: Any) -> dict[str, Any]:
        outputs = predict_step(variables, images, model=model)
        return {key: value for key, value in outputs.items() if key in ("logits", "box")}

    return function, shape


def runners(name: str, arms: list[str], batch: int) -> tuple[dict[str, Callable[[np.ndarray], Any]], dict[str, int], tuple[int, int, int]]:
    """The model in each arm for a batch, and the bytes of files."""
    import jax

    from imgloc.deployment import int8, locate_exported
    from imgloc.deployment.formats import iree
    from imgloc.deployment.onnx_writer.write import to_onnx
    from imgloc.devices import runtime

    function, shape = function_of(name)
    symbolic = jax.ShapeDtypeStruct((*jax.export.symbolic_shape("b"), *shape), np.uint8)
    found: dict[str, Callable[[np.ndarray], Any]] = {}
    sizes: dict[str, int] = {}
    if "jax" in arms:
        compiled = jax.jit(function, compiler_options=runtime.compiler_options())
        found["jax"] = lambda images: jax.block_until_ready(compiled(images))
    if {"onnx", "int8"} & set(arms):
        content = to_onnx(function, symbolic)
        calibration = [np.random.default_rng(i).integers(0, 256, (8, *shape), dtype=np.uint8) for i in range(4)]
        for arm in {"onnx", "int8"} & set(arms):
            own = content if arm == "onnx" else int8.quantize(content, "static", calibration)
            found[arm], sizes[arm] = locate_exported.open_onnx(own), len(own)
    if "iree" in arms:
        written = iree.write(function, jax.ShapeDtypeStruct((batch, *shape), np.uint8))
        found["iree"], sizes["iree"] = locate_exported.open_iree(written.content, written.details["outputs"]), len(written.content)
    return found, sizes, shape


def milliseconds(run: Callable[[], Any], at_least: float = 0.3) -> float:
    """The mean time of a call, over enough calls to fill a part of a second."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < at_least or count < 3:
        run()
        count += 1
    return 1000 * (time.perf_counter() - start) / count


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    parser.add_argument("--arms", nargs="+", default=["jax", "onnx", "int8"], choices=["jax", "onnx", "int8", "iree"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=None)
    parsed = parser.parse_args()
    from imgloc.devices import runtime

    runtime.prepare()
    results = []
    print(f"| model | batch | {' | '.join(parsed.arms)} |\n|---|---|{'---|' * len(parsed.arms)}")
    for name in parsed.models:
        for batch in BATCHES:
            found, sizes, shape = runners(name, parsed.arms, batch)
            images = np.random.default_rng(0).integers(0, 256, (batch, *shape), dtype=np.uint8)
            calls = {arm: functools.partial(run, images) for arm, run in found.items()}
            for call in calls.values():
                call()
            times: dict[str, list[float]] = {arm: [] for arm in calls}
            for _ in range(parsed.rounds):  # interleaved, so that a slow moment of the machine meets all arms
                for arm, call in calls.items():
                    times[arm].append(milliseconds(call))
            medians = {arm: statistics.median(times[arm]) for arm in parsed.arms}
            results.append({"model": name, "batch": batch, "milliseconds": times, "bytes": sizes})
            print(f"| {name} | {batch} | {' | '.join(f'{medians[arm]:.2f}' for arm in parsed.arms)} |", flush=True)
    if parsed.out is not None:
        parsed.out.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
