"""One process of a benchmark: `python -m benchmarks.worker SPEC` prints one line of JSON.

SPEC is a JSON object with the `task` (machine, time, input, read) and its arguments. If the task fails, the result is {"reason": ...}
and the exit code 0, so that an implementation that does not work here does not stop the others.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.measure import Prepared, Row, measure
from benchmarks.works import Work, find_work
from imgloc.devices import runtime


def prepared_for(work: Work, implementation: str, *, platform: str, tuned: bool) -> Prepared:
    """Sets this process up for an implementation and returns a work ready to be timed."""
    if implementation in ("imgloc", "linen"):
        if implementation == "imgloc":
            runtime.prepare()
        else:
            from benchmarks.linen_layers import replace_layers

            replace_layers()
        from benchmarks import jax_side  # imports models, after their layers are replaced

        return jax_side.make(work, platform=platform, tuned=tuned or implementation == "imgloc")
    if implementation.startswith("torch"):
        from benchmarks import torch_side

        return torch_side.make(work, implementation, platform=platform)
    from benchmarks import keras_side

    return keras_side.make(work, implementation, platform=platform)


def time_work(spec: Mapping[str, Any]) -> Row:
    """Returns the median milliseconds per step, the number of repeats and parameters, and the peak memory of this process."""
    work = find_work(spec["group"], spec["work"])
    prepared = prepared_for(work, spec["implementation"], platform=spec["platform"], tuned=spec["setting"] == "tuned")
    times = measure(prepared, platform=spec["platform"], quick=spec["quick"])
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # in KiB on Linux
    return {
        "median_ms": statistics.median(times),
        "repeats": len(times),
        "parameters": prepared.parameters,
        "peak_mib": round(peak_bytes / 2**20),
    }


def describe_machine(spec: Mapping[str, Any]) -> Row:
    """Returns the device, its matrix-product rate, and the operations of each work with linen's layers."""
    runtime.prepare()
    from benchmarks.linen_layers import replace_layers

    replace_layers()
    import jax

    from benchmarks import arithmetic

    device = jax.devices()[0]
    operations: dict[str, float | None] = {}
    for work in (find_work(spec["group"], name) for name in spec["works"]):
        try:
            operations[work.name] = arithmetic.count_operations(*_abstract(work))
        except Exception as error:  # the rows of a model that fails report its error
            operations[work.name] = None
            sys.stderr.write(f"{work.name}: {type(error).__name__}: {error}\n")
    return {
        "platform": device.platform,
        "device": device.device_kind,
        "rate": arithmetic.product_rate(device.platform, quick=spec["quick"]),
        "operations": operations,
    }


def _abstract(work: Work) -> tuple[Callable[..., Any], Any, Any]:
    """Returns the function of a work and the shapes of its arguments."""
    import jax

    from benchmarks import jax_side

    init, one_step = jax_side.train_functions(work, "cpu")
    state = jax.eval_shape(init, 0)
    batch = jax_side.make_batch(work)
    if work.train:
        return one_step, state, batch
    variables = {"params": state.params, **state.model_state}
    return jax_side.forward_function(work, "cpu"), variables, batch.images_bxhxwxc


def time_input(spec: Mapping[str, Any]) -> Row:
    """Returns the times of the input pipeline by name."""
    runtime.prepare()
    from benchmarks import feeding

    return feeding.timed(spec["platform"], quick=spec["quick"])


def time_reading(spec: Mapping[str, Any]) -> Row:
    """Returns milliseconds per batch of photographs."""
    from benchmarks import decoding

    return decoding.timed(spec)


TASKS: dict[str, Callable[[Mapping[str, Any]], Row]] = {
    "machine": describe_machine,
    "time": time_work,
    "input": time_input,
    "read": time_reading,
}


def main(text: str) -> int:
    """Runs the task of a spec and prints its result."""
    spec = json.loads(text)
    try:
        result = TASKS[spec["task"]](spec)
    except Exception as error:  # libraries fail in many ways
        result = {"reason": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    sys.stdout.write("\n" + json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
