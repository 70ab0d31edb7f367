"""imgloc's training step and forward pass, compiled as in its loop; with linen's layers, the implementation `linen`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

from benchmarks.measure import Prepared
from benchmarks.models import make_model
from benchmarks.works import GLIMPSES, Work
from imgloc.config import schema
from imgloc.devices import mesh, runtime
from imgloc.losses import cross_entropy, reinforce
from imgloc.nn.apply import compute_dtype, predict_step
from imgloc.training import step
from imgloc.training.objective import Metrics, WeightedLoss
from imgloc.training.optim import make_optimizer
from imgloc.types import Batch

SCHEDULED_STEPS = 100_000
Init: TypeAlias = Callable[[int], step.TrainState]
Step: TypeAlias = Callable[[step.TrainState, Batch], tuple[step.TrainState, Metrics]]
Forward: TypeAlias = Callable[[Mapping[str, Any], jax.Array], jax.Array]


def make_batch(work: Work, seed: int = 0) -> Batch:
    """Returns a batch of random images and labels for a work (NumPy)."""
    rng = np.random.default_rng(seed)
    b = work.batch
    return Batch(
        images_bxhxwxc=rng.integers(0, 256, (b, work.size, work.size, work.channels), dtype=np.uint8),
        boxes_bxnx4=np.tile(np.array([0.25, 0.25, 0.75, 0.75], np.float32), (b, 1, 1)),
        labels_bxn=np.zeros((b, 1), np.int32),
        object_mask_bxn=np.ones((b, 1), np.bool_),
        label_b=rng.integers(0, work.classes, b).astype(np.int32),
        example_mask_b=np.ones(b, np.bool_),
        content_bx4=np.tile(np.array([0, 0, 1, 1], np.float32), (b, 1)),
    )


def dtype_on(platform: str) -> str:
    """Returns the dtype of the computation: float32 on a CPU, bfloat16 on an accelerator."""
    return "float32" if platform == "cpu" else "bfloat16"


def train_functions(work: Work, platform: str) -> tuple[Init, Step]:
    """Returns the pure functions `init(seed)` -> state and `step(state, batch)` -> (next state, metrics)."""
    model = make_model(work)
    optimizer, _ = make_optimizer(schema.base().optim, SCHEDULED_STEPS)  # Adam, without weight decay
    shape = (work.size, work.size, work.channels)
    init = functools.partial(step.init_state, shape=shape, model=model, optimizer=optimizer, ema_decay=0.0)
    losses = [WeightedLoss("cross_entropy", 1.0, cross_entropy.loss)]
    losses += [WeightedLoss("reinforce", 1.0, reinforce.loss)] if work.model in GLIMPSES else []
    dtype = compute_dtype(dtype_on(platform))
    return init, functools.partial(step.train_step, model=model, losses=losses, optimizer=optimizer, dtype=dtype)


def forward_function(work: Work, platform: str) -> Forward:
    """Returns the pure function `forward(variables, images)` from uint8 images to class logits."""
    model, dtype = make_model(work), compute_dtype(dtype_on(platform))
    return lambda variables, images: predict_step(variables, images, model=model, dtype=dtype)["logits"]


def make(work: Work, *, platform: str, tuned: bool) -> Prepared:
    """Returns a work compiled with imgloc's compiler options if `tuned`, with batch and state on the device."""
    options = runtime.compiler_options() if tuned else None
    sharding = mesh.replicated_sharding(mesh.make_mesh())
    init, one_step = train_functions(work, platform)
    state = jax.jit(init, out_shardings=sharding, compiler_options=runtime.compiler_options_once())(0)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    if not work.train:
        return Prepared(_forward(work, platform, state, options), parameters)

    k = work.steps_per_call
    batches = [make_batch(work, seed) for seed in range(k)]
    arguments = (batches[0],) if k == 1 else (jax.tree.map(lambda *a: np.stack(a), *batches), np.int32(k))
    arguments = jax.device_put(arguments, sharding)
    steps = one_step if k == 1 else functools.partial(step.train_steps, one_step=one_step)
    call = jax.jit(steps, donate_argnums=0, out_shardings=sharding, compiler_options=options)
    holder = [state]

    def run(calls: int) -> None:
        for _ in range(calls):
            holder[0], metrics = call(holder[0], *arguments)
        jax.block_until_ready((holder[0], metrics))

    return Prepared(run, parameters, k)


def _forward(work: Work, platform: str, state: step.TrainState, options: dict[str, Any] | None) -> Callable[[int], None]:
    variables = step.eval_variables(state)
    images = jax.device_put(make_batch(work).images_bxhxwxc)
    call = jax.jit(forward_function(work, platform), compiler_options=options)

    def run(calls: int) -> None:
        for _ in range(calls):
            out = call(variables, images)
        jax.block_until_ready(out)

    return run
