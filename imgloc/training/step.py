"""One training step, as a pure function of the state and a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import PyTree

from imgloc.nn.apply import apply_train, blank_input
from imgloc.nn.freezing import Patterns, frozen_mask
from imgloc.nn.preprocess import AnyModel
from imgloc.randomness import purpose_number
from imgloc.training.hyperparameters import is_on
from imgloc.training.objective import Metrics, WeightedLoss, batch_loss
from imgloc.training.pruning import without_pruned
from imgloc.types import Batch, Shape

BatchTransform: TypeAlias = Callable[[Batch, jax.Array], Batch]  # (batch, key) -> batch, inside the compiled step
ModelState: TypeAlias = Mapping[str, PyTree]  # the collections of a model beside `params`, such as `batch_stats`


class TrainState(NamedTuple):
    """Everything that changes from step to step; arrays only."""

    step: jax.Array  # int32, the number of steps done
    seed: jax.Array  # uint32; an input of the compiled step, so that all seeds share one program
    params: PyTree
    model_state: ModelState
    opt_state: optax.OptState
    ema: tuple[PyTree, ModelState] | tuple[()]  # moving averages of (params, model_state), or () without them


def step_key(seed: ArrayLike, purpose: str, index: ArrayLike) -> jax.Array:
    """The random key of a purpose at a step; no random state is stored but the seed."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose_number(purpose)), index)


def init_state(seed: ArrayLike, *, shape: Shape, model: AnyModel, optimizer: optax.GradientTransformation, ema_decay: float) -> TrainState:
    """The state before the first step, for images of a shape (h, w, c). Pure, so that it can be jitted."""
    seed = jnp.asarray(seed, jnp.uint32)
    images = blank_input(model, 1, shape, jnp.float32)
    keys = {"params": step_key(seed, "init", 0), "dropout": step_key(seed, "init", 1)}
    variables = model.init(keys, images, train=False)
    params, model_state = variables["params"], {name: variables[name] for name in variables if name != "params"}
    ema = (params, model_state) if ema_decay > 0 else ()
    return TrainState(jnp.int32(0), seed, params, model_state, optimizer.init(params), ema)


def train_step(
    state: TrainState,
    batch: Batch,
    *,
    model: AnyModel,
    losses: Sequence[WeightedLoss],
    optimizer: optax.GradientTransformation,
    ema_decay: float | jax.Array = 0.0,
    grad_accum_steps: int = 1,
    batch_transforms: Sequence[BatchTransform] = (),
    dtype: DTypeLike = jnp.float32,
    schedule: optax.Schedule | None = None,
    frozen: Patterns = (),
) -> tuple[TrainState, Metrics]:
    """One update: returns the new state and the scalars `loss`, `loss/NAME`, `grad_norm`, and `lr` where there is a schedule.

    The batch transforms run first, on the whole batch, each with its own key. With `grad_accum_steps` n, the batch is processed in
    n parts whose gradients are averaged. The decay of the moving averages at step t is min(ema_decay, (1 + t) / (10 + t)), as in
    TensorFlow's ExponentialMovingAverage with num_updates. Variables whose path matches a pattern of `frozen` keep their values;
    the optimizer must have no updates for them.
    """
    key = step_key(state.seed, "step", state.step)
    for index, transform in enumerate(batch_transforms):
        batch = transform(batch, jax.random.fold_in(step_key(state.seed, "batch_transform", state.step), index))

    def loss_of(params: PyTree, model_state: ModelState, part: Batch, index: ArrayLike) -> tuple[jax.Array, tuple[ModelState, Metrics]]:
        part_key = jax.random.fold_in(key, index)
        outputs, new_state = apply_train(params, model_state, part, part_key, model=model, dtype=dtype, frozen=frozen)
        loss, metrics = batch_loss(outputs, part, losses)
        return loss, (new_state, metrics)

    gradient = jax.grad(loss_of, has_aux=True)
    if grad_accum_steps == 1:
        grads, (model_state, metrics) = gradient(state.params, state.model_state, batch, 0)
    else:
        # Every n-th example, so that each part is split over all devices as the batch is.
        parts = jax.tree.map(lambda a: jnp.swapaxes(a.reshape(-1, grad_accum_steps, *a.shape[1:]), 0, 1), batch)

        def add(carry: tuple[PyTree, ModelState], item: tuple[jax.Array, Batch]) -> tuple[tuple[PyTree, ModelState], Metrics]:
            total, model_state = carry
            grads, (model_state, metrics) = gradient(state.params, model_state, item[1], item[0])
            return (jax.tree.map(jnp.add, total, grads), model_state), metrics

        start = (jax.tree.map(jnp.zeros_like, state.params), state.model_state)
        (total, model_state), stacked = jax.lax.scan(add, start, (jnp.arange(grad_accum_steps), parts))
        grads = jax.tree.map(lambda a: a / grad_accum_steps, total)
        metrics = jax.tree.map(lambda a: a.mean(axis=0), stacked)

    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    step = state.step + 1
    ema: tuple[PyTree, ModelState] | tuple[()] = ()
    if is_on(ema_decay):
        ema = _averages(state.ema, (params, model_state), jnp.minimum(ema_decay, (1.0 + step) / (10.0 + step)), frozen)
    new_state = TrainState(step, state.seed, params, model_state, opt_state, ema)
    metrics = {**metrics, "grad_norm": optax.tree.norm(grads)}
    return new_state, metrics if schedule is None else {**metrics, "lr": jnp.asarray(schedule(state.step), jnp.float32)}


def _averages(old: PyTree, new: tuple[PyTree, ModelState], decay: jax.Array, frozen: Patterns) -> tuple[PyTree, ModelState]:
    """The moving averages after a step. Frozen variables are kept: the average of equal numbers may differ from them in the last bit."""
    kept = (frozen_mask(new[0], frozen), {name: frozen_mask(tree, frozen) for name, tree in new[1].items()})
    averages: tuple[PyTree, ModelState] = jax.tree.map(lambda a, b, keep: b if keep else a * decay + b * (1 - decay), old, new, kept)
    return averages


def train_steps(
    state: TrainState, batches: Batch, count: ArrayLike, *, one_step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
) -> tuple[TrainState, Metrics]:
    """`count` steps in one call, on the first of `batches` (leading axis: steps); metrics have that axis too, and 0 past `count`.

    `count` is data, not shape: however a run is divided into calls, they share one program and so give the same bits.
    """

    def body(index: jax.Array, carry: tuple[TrainState, Metrics]) -> tuple[TrainState, Metrics]:
        batch = jax.tree.map(lambda a: jax.lax.dynamic_index_in_dim(a, index, keepdims=False), batches)
        new_state, metrics = one_step(carry[0], batch)
        return new_state, jax.tree.map(lambda all_n, one: jax.lax.dynamic_update_index_in_dim(all_n, one, index, 0), carry[1], metrics)

    size = batches.label_b.shape[0]
    _, metrics = jax.eval_shape(one_step, state, jax.tree.map(lambda a: a[0], batches))
    blank = jax.tree.map(lambda a: jnp.zeros((size, *a.shape), a.dtype), metrics)
    final: tuple[TrainState, Metrics] = jax.lax.fori_loop(0, count, body, (state, blank))
    return final


def all_finite(state: TrainState) -> jax.Array:
    """Whether all parameters, model state and moving averages are finite: a boolean scalar."""
    leaves = jax.tree.leaves((state.params, state.model_state, state.ema))
    return jnp.all(jnp.array([jnp.isfinite(leaf).all() for leaf in leaves if jnp.issubdtype(leaf.dtype, jnp.inexact)]))


def variables_of(state: TrainState) -> dict[str, PyTree]:
    """The parameters and the model state as one tree of variables."""
    return {"params": state.params, **state.model_state}


def eval_variables(state: TrainState) -> dict[str, PyTree]:
    """The variables that prediction uses: moving averages where they are kept, else parameters and model state."""
    params, model_state = state.ema or (state.params, state.model_state)
    params = without_pruned(params, state.opt_state)
    return variables_of(state._replace(params=params, model_state=model_state))
