"""One process of a benchmark: `python -m benchmarks.worker SPEC` prints one line of JSON.

SPEC is a JSON object: `task` (machine, time, input) and what that wants. What cannot be timed gives
{"reason": ...} and no error: one implementation that does not work here leaves the others alone.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.measure import Prepared, measure
from benchmarks.works import Work, find_work
from imgloc.devices import runtime


def prepared_for(work: Work, implementation: str, *, platform: str, tuned: bool) -> Prepared:
    """A work ready to be timed, the process set up for its implementation first."""
    if implementation == "imgloc":
        runtime.prepare()
        from benchmarks import jax_side

        return jax_side.make(work, platform=platform, tuned=True)
    if implementation == "linen":
        from benchmarks.linen_layers import replace_layers

        replace_layers()
        from benchmarks import jax_side

        return jax_side.make(work, platform=platform, tuned=tuned)
    if implementation.startswith("torch"):
        from benchmarks import torch_side

        return torch_side.make(work, implementation, platform=platform)
    from benchmarks import keras_side

    return keras_side.make(work, implementation, platform=platform)


def timed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The median of this process in milliseconds a step, its repeats, the most memory it held, the model's parameters."""
    work = find_work(spec["group"], spec["work"])
    prepared = prepared_for(work, spec["implementation"], platform=spec["platform"], tuned=spec["setting"] == "tuned")
    times = measure(prepared, platform=spec["platform"], quick=spec["quick"])
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # Linux counts in KiB
    return {
        "median_ms": statistics.median(times),
        "repeats": len(times),
        "parameters": prepared.parameters,
        "peak_mib": round(held / 2**20),
    }


def machine(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The device, its matrix-product rate, and the operations of each work on plain layers."""
    runtime.prepare()
    from benchmarks.linen_layers import replace_layers

    replace_layers()
    import jax

    from benchmarks import arithmetic, jax_side

    device = jax.devices()[0]
    operations: dict[str, float | None] = {}
    for work in (find_work(spec["group"], name) for name in spec["works"]):
        try:
            operations[work.name] = arithmetic.count_operations(*_abstract(work, jax_side, jax))
        except Exception as error:  # a model that fails: its rows will say so themselves
            operations[work.name] = None
            sys.stderr.write(f"{work.name}: {type(error).__name__}: {error}\n")
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "rate": arithmetic.product_rate(device.platform, quick=spec["quick"]),
        "operations": operations,
    }


def _abstract(work: Work, jax_side: Any, jax: Any) -> tuple[Any, Any, Any]:
    """A work's function and the shapes of its arguments."""
    init, one_step = jax_side.train_functions(work, "cpu")
    state = jax.eval_shape(init, 0)
    batch = jax_side.make_batch(work)
    if work.train:
        return one_step, state, batch
    variables = {"params": state.params, **state.model_state}
    return jax_side.forward_function(work, "cpu"), variables, batch.images_bxhxwxc


def fed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The times of the input pipeline, by name."""
    runtime.prepare()
    from benchmarks import feeding

    return feeding.timed(spec["platform"], quick=spec["quick"])


def read(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Milliseconds a batch of photographs."""
    from benchmarks import decoding

    return decoding.timed(spec)


TASKS = {"machine": machine, "time": timed, "input": fed, "read": read}


def main(text: str) -> int:
    """Do what a spec says and print the result."""
    spec = json.loads(text)
    try:
        result = TASKS[spec["task"]](spec)
    except Exception as error:  # whatever a library does where it does not work
        result = {"reason": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
