"""Times every form of a convolution and of an LSTM on this machine's CPU, for the choices in imgloc/nn.

python experiments/operation_forms/run.py --name amd    # all cases, about five minutes; writes results_amd.json
python experiments/operation_forms/run.py --programs    # populations and compiler options, a minute; writes programs.json
python experiments/operation_forms/run.py --table       # prints the saved results of all machines
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import itertools
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.devices import runtime
from imgloc.runs.provenance import describe_environment, git_commit

FOLDER = Path(__file__).parent
PROGRAMS = FOLDER / "programs.json"
REPEATS, SECONDS = 25, 0.25  # limits for each form: number of repeats, and seconds after which it is not repeated

# batch, size, channels, features, kernel, stride, dilation, groups
CONVOLUTIONS = [
    *((32, 224, c, 32, 3, 1, 1, 1) for c in (1, 3, 4)),
    *((64, 64, c, 16, k, 1, 1, 1) for c in (1, 3, 8) for k in (3, 5)),
    (32, 64, 3, 64, 7, 2, 1, 1), (8, 224, 3, 64, 7, 2, 1, 1), (8, 224, 3, 32, 3, 2, 1, 1), (1, 224, 3, 32, 3, 2, 1, 1),
    (64, 28, 1, 32, 5, 1, 1, 1), (1, 224, 3, 32, 3, 1, 1, 1),
    *((64, 32, i, o, 3, 1, 1, 1) for i, o in ((8, 16), (16, 32), (32, 32))),
    *((32, s, c, c, 3, 1, 1, 1) for s, c in ((56, 64), (16, 64), (8, 128), (4, 256), (3, 256), (2, 512), (1, 512))),
    *((8, s, c, c, 3, 1, 1, 1) for s, c in ((28, 128), (14, 256), (7, 512))),
    *((1, s, c, c, 3, 1, 1, 1) for s, c in ((28, 128), (7, 512), (2, 512))),
    *((32, s, c, 2 * c, 3, 2, 1, 1) for s, c in ((32, 32), (16, 64), (8, 128), (4, 256))), (8, 56, 64, 128, 3, 2, 1, 1),
    *((b, s, i, o, 1, 1, 1, 1) for b in (1, 8, 32) for s, i, o in ((56, 64, 256), (14, 480, 112), (7, 320, 1280))),
    *((32, s, c, 2 * c, 1, 2, 1, 1) for s, c in ((16, 64), (8, 128))),
    *((b, s, c, c, k, t, 1, c) for b in (1, 8) for s, c, k, t in ((112, 32, 3, 1), (112, 96, 3, 2), (28, 240, 5, 1), (14, 480, 5, 1))),
    (8, 14, 256, 256, 3, 1, 2, 1), (8, 28, 240, 240, 5, 1, 2, 240), (8, 28, 128, 128, 3, 1, 1, 32), (8, 14, 256, 256, 3, 2, 1, 8),
]  # fmt: skip
CONVOLUTION_KEYS = ("batch", "size", "channels", "features", "kernel", "stride", "dilation", "groups")
LSTMS = [(64, 28, 28, 50), (64, 28, 28, 128), (64, 28, 128, 128), (64, 28, 256, 64), (16, 40, 300, 100), (64, 64, 64, 128)]
LSTM_KEYS = ("batch", "time", "inputs", "features")
POPULATIONS = [(8, 32, 32, 8, 16, 3), (8, 32, 16, 32, 32, 3), (8, 32, 8, 64, 64, 3), (8, 64, 28, 1, 16, 3), (32, 16, 8, 16, 16, 3)]
POPULATION_KEYS = ("members", "batch", "size", "channels", "features", "kernel")


def medians(functions: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Returns the median milliseconds of each function over interleaved repeats, after one call that compiles."""
    import jax

    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        jax.block_until_ready(function())
    for _, (name, function) in itertools.product(range(REPEATS), functions.items()):
        if sum(times[name]) < SECONDS or len(times[name]) < 3:
            began = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(time.perf_counter() - began)
    return {name: round(statistics.median(seconds) * 1e3, 4) for name, seconds in times.items()}


def time_convolution(case: tuple[int, ...]) -> list[dict[str, Any]]:
    """Returns a row for each direction, with the milliseconds of each form that can compute it."""
    import jax
    import jax.numpy as jnp

    from imgloc.nn.conv_forms import FORMS, ROLES

    geometry, batch = geometry_of(case), case[0]
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch, *geometry.image), jnp.float32)
    kernel = jax.random.normal(keys[1], geometry.kernel, jnp.float32)
    y = jax.random.normal(keys[2], (batch, *geometry.out), jnp.float32)
    operands = {"output": (x, kernel), "image_gradient": (y, kernel), "kernel_gradient": (x, y)}
    names = ["native", "gathered"]
    if geometry.depthwise:
        names.append("shifted")
    elif geometry.groups == 1 and case[2] * case[4] ** 2 <= 80:
        names.append("outer")
    rows = []
    for role, compute in ROLES.items():
        functions = {}
        for name in names:
            jitted = jax.jit(functools.partial(compute, FORMS[name], geometry=geometry), compiler_options=runtime.compiler_options())
            functions[name] = functools.partial(jitted, *operands[role])
        rows.append({**dict(zip(CONVOLUTION_KEYS, case, strict=True)), "role": role, "ms": medians(functions)})
    return rows


def case_of(row: Mapping[str, Any]) -> tuple[int, ...]:
    """Returns the case that a row of the results is about."""
    return tuple(row[key] for key in CONVOLUTION_KEYS)


def geometry_of(case: tuple[int, ...]) -> Any:
    """Returns the geometry of a case, with SAME padding."""
    from imgloc.nn.conv_forms import Geometry, resolve_pads

    _, size, channels, features, kernel, stride, dilation, groups = case
    window = dilation * (kernel - 1) + 1
    pads = resolve_pads("SAME", (size, size), (window, window), (stride, stride))
    shape = (kernel, kernel, channels // groups, features)
    return Geometry((size, size, channels), shape, (stride, stride), pads, (dilation, dilation), groups)


def time_lstm(case: tuple[int, ...]) -> dict[str, Any]:
    """Times the gradients of an LSTM whose input projection is joined to the recurrent product, or done first."""
    import jax
    import jax.numpy as jnp

    from imgloc.nn.cells.lstm import lstm
    from imgloc.nn.recurrence import FORMS

    batch, steps, inputs, features = case
    shapes = ((batch, steps, inputs), (inputs, 4 * features), (features, 4 * features), (4 * features,))
    keys = jax.random.split(jax.random.key(0), len(shapes))
    arrays = [0.1 * jax.random.normal(key, shape, jnp.float32) for key, shape in zip(keys, shapes, strict=True)]
    functions = {}
    for name in FORMS:
        gradient = jax.grad(lambda *a, name=name: jnp.square(lstm(*a, form=name)).sum(), argnums=(1, 2, 3))
        functions[name] = functools.partial(jax.jit(gradient, compiler_options=runtime.compiler_options()), *arrays)
    return {**dict(zip(LSTM_KEYS, case, strict=True)), "ms": medians(functions)}


def time_population(case: tuple[int, ...], *, shared: bool) -> dict[str, Any]:
    """Times value and gradients of a vmap over kernels, and over images unless they are `shared`, with XLA's convolution and imgloc's."""
    import jax
    import jax.numpy as jnp

    from imgloc.nn.conv import conv
    from imgloc.nn.conv_forms import native

    members, batch, size, channels, features, kernel = case
    geometry = geometry_of((*case[1:], 1, 1, 1))
    keys = jax.random.split(jax.random.key(0), 2)
    x = jax.random.normal(keys[0], (*(() if shared else (members,)), batch, size, size, channels), jnp.float32)
    kernels = jax.random.normal(keys[1], (members, kernel, kernel, channels, features), jnp.float32)
    functions = {}
    for name, one in {"native": functools.partial(native, geometry=geometry), "imgloc": conv}.items():
        value_and_gradient = jax.value_and_grad(lambda k, x, one=one: jnp.square(one(x, k)).sum(), argnums=(0, 1))
        both = jax.vmap(value_and_gradient, in_axes=(0, None if shared else 0))
        functions[name] = functools.partial(jax.jit(both, compiler_options=runtime.compiler_options()), kernels, x)
    return {**dict(zip(POPULATION_KEYS, case, strict=True)), "images": "shared" if shared else "own", "ms": medians(functions)}


def time_options(name: str) -> dict[str, Any]:
    """Times a training step of a work of `python -m benchmarks` with imgloc's compiler options and without."""
    from benchmarks import jax_side, works

    work = works.find_work("step", name)
    variants = {title: jax_side.make(work, platform="cpu", tuned=tuned) for title, tuned in (("with options", True), ("without", False))}
    times = medians({title: functools.partial(prepared.run, 1) for title, prepared in variants.items()})
    return {"work": name, "ms": {title: round(ms / work.steps_per_call, 4) for title, ms in times.items()}}


def around() -> dict[str, Any]:
    """Returns commit, versions and machine."""

    where = describe_environment()
    return {**git_commit(), "python": where["python"], "jaxlib": importlib.metadata.version("jaxlib"), "machine": where["machine"]}


def measure_programs() -> None:
    """Times populations and compiler options and writes programs.json."""
    populations = [time_population(case, shared=shared) for shared in (False, True) for case in POPULATIONS]
    options = [time_options(name) for name in ("three_layer_cnn_224", "digits_cnn_64", "resnet18_64")]
    files.write_json(PROGRAMS, {**around(), "populations": populations, "options": options})


def measure(name: str) -> None:
    """Times all convolutions and LSTMs and writes results_NAME.json."""
    convolutions = []
    for number, case in enumerate(CONVOLUTIONS, start=1):
        convolutions += time_convolution(case)
        print(f"{number} of {len(CONVOLUTIONS)}  {case}", flush=True)
    lstms = [time_lstm(case) for case in LSTMS]
    files.write_json(FOLDER / f"results_{name}.json", {**around(), "convolutions": convolutions, "lstms": lstms})


def title(results: Mapping[str, Any]) -> str:
    """Returns the machine, versions and commit of a file's times."""
    return f"{results['machine']}, jaxlib {results['jaxlib']}, Python {results['python']}, commit {results['commit'][:8]}"


def print_forms(results: Mapping[str, Any]) -> None:
    """Prints the times of each row's forms and marks the chosen one."""
    from imgloc.nn.conv_choice import choose

    print(f"{title(results)}; ms, * chosen\n")
    for row in results["convolutions"]:
        case = case_of(row)
        chosen = choose(row["role"], geometry_of(case))
        forms = "  ".join(f"{'*' if name == chosen else ' '}{name} {ms:.2f}" for name, ms in row["ms"].items())
        print(f"{' '.join(f'{value:4d}' for value in case)}  {row['role']:<16}{forms}")
    for row in results["lstms"]:
        print(" ".join(f"{row[key]:4d}" for key in LSTM_KEYS), "  lstm  ", "  ".join(f"{name} {ms:.2f}" for name, ms in row["ms"].items()))


def print_programs(programs: Mapping[str, Any]) -> None:
    """Prints the times of populations and of compiler options."""
    print(f"\n{title(programs)}; ms\n")
    for row in (*programs["populations"], *programs["options"]):
        times = "  ".join(f"{name} {ms:.2f}" for name, ms in row["ms"].items())
        print(row.get("work") or " ".join(f"{row[key]:4d}" for key in POPULATION_KEYS) + f"  population, images {row['images']:<6}", times)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the saved results")
    parser.add_argument("--name", default="new", help="of the machine: results_NAME.json is written (default: new)")
    parser.add_argument("--programs", action="store_true", help="measure only populations and compiler options")
    parsed = parser.parse_args()
    if parsed.table:
        for path in sorted(FOLDER.glob("results_*.json")):
            print_forms(json.loads(path.read_text()))
        print_programs(json.loads(PROGRAMS.read_text()))
    else:
        runtime.prepare()
        measure_programs() if parsed.programs else measure(parsed.name)
