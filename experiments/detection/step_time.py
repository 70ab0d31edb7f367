"""Times imgloc's detector with a ResNet-18, as step_time_torch.py times torchvision's; prints one line of JSON.

    python experiments/detection/step_time.py --channels 128 --convs 2

Times are medians in milliseconds: network (backbone, pyramid and head), detect (network, decoding and suppression), train (forward,
loss, backward, AdamW). in_turns.py runs several such commands in turns, with the allocator settings that imgloc's commands choose.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics

import jax
import numpy as np

from benchmarks.measure import WARM_UP, repeat
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.config.task import make_task
from imgloc.devices import mesh, runtime
from imgloc.inference.predict import compiled_predict
from imgloc.models.detector import Model
from imgloc.nn.apply import predict_step
from imgloc.training.objective import make_losses
from imgloc.training.optim import make_optimizer
from imgloc.training.step import TrainState, eval_variables, init_state, train_step
from imgloc.types import Batch

OBJECTS = 12  # of an image


def some_batch(size: tuple[int, int], count: int, classes: int) -> Batch:
    """Returns random images, with boxes whose sides are a sixteenth to a third of the image."""
    rng = np.random.default_rng(0)
    sides = rng.uniform(1 / 16, 1 / 3, (count, OBJECTS, 2))
    corners = rng.uniform(0, 1 - sides)
    return Batch(
        rng.integers(0, 256, (count, *size, 3), dtype=np.uint8),
        np.concatenate([corners, corners + sides], axis=-1).astype(np.float32),
        rng.integers(0, classes, (count, OBJECTS)).astype(np.int32), np.ones((count, OBJECTS), np.bool_), np.zeros(count, np.int32),
        np.ones(count, np.bool_), np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1)),
    )  # fmt: skip


def main() -> None:
    """Prints the times of one design."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=[320, 320], metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--convs", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="three repeats")
    options = parser.parse_args()
    config = resolve(read_recipe("bccd"), ["--config.data.source=scattered_digits", "--config.data.max_objects=12"])
    model = Model(options.classes, {"name": "resnet", "width": options.width}, channels=options.channels, head_layers=options.convs)
    size = (options.size[0], options.size[1])
    batch = some_batch(size, options.batch, options.classes)
    optimizer, _ = make_optimizer(config.optim, 1000)
    compiler = runtime.compiler_options()
    init = functools.partial(init_state, shape=(*size, 3), model=model, optimizer=optimizer, ema_decay=0.0)
    state: TrainState = jax.jit(init, compiler_options=compiler)(0)
    step = functools.partial(train_step, model=model, losses=make_losses(config.losses), optimizer=optimizer)
    train = jax.jit(step, donate_argnums=0, compiler_options=compiler)
    variables = jax.tree.map(np.asarray, eval_variables(state))
    devices = mesh.make_mesh(jax.devices()[:1])
    detect = compiled_predict(model, make_task(config), devices, np.float32)
    network = jax.jit(
        lambda variables, images: {k: v for k, v in predict_step(variables, images, model=model).items() if k.startswith("dense")},
        compiler_options=compiler,
    )
    images = mesh.put_batch(batch.images_bxhxwxc, devices)
    placed = jax.device_put(variables)

    def train_once() -> None:
        nonlocal state
        state, metrics = train(state, batch)
        jax.block_until_ready(metrics)

    timed = {
        "network": lambda: jax.block_until_ready(network(placed, images)),
        "detect": lambda: jax.block_until_ready(detect(placed, images)),
        "train": train_once,
    }
    parameters = sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))
    result: dict[str, object] = {"channels": options.channels, "convs": options.convs, "parameters": parameters}
    for name, call in timed.items():
        for _ in range(1 if options.quick else WARM_UP):
            call()
        result[f"{name}_ms"] = round(statistics.median(repeat(call, quick=options.quick)), 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
