"""A trained model as a predictor, and the rows that any predictor gives."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from imgloc import boxes, build, checkpoint, mesh, runtime
from imgloc.data.batches import pipeline
from imgloc.data.batches.view import WHOLE, View, stack
from imgloc.errors import UserError, reason, unknown
from imgloc.optim import make_optimizer
from imgloc.rundir import RunDir
from imgloc.step import TrainState, eval_variables, init_state, predict_step
from imgloc.types import NOT_SCORED, Batch, Example, FloatArray, Outputs, Predict, Row, Shape, Source


def abstract_state(config: ConfigDict, shape: Shape, model: nn.Module, optimizer: optax.GradientTransformation) -> TrainState:
    """Shapes and dtypes of a training state, nothing computed. Raises UserError for a model that cannot be built."""
    make = functools.partial(init_state, shape=shape, model=model, optimizer=optimizer, ema_decay=config.optim.ema)
    try:
        state: TrainState = jax.eval_shape(make, config.seed)
    except UserError:
        raise
    except Exception as error:  # whatever a model does with fields that make no sense to it
        raise UserError(f"model '{config.model.name}' does not build for images {shape}: {reason(error, lines=1)}") from error
    return state


def compiled_predict(model: nn.Module, devices: Mesh, dtype: Any) -> Callable[[Any, Any], Any]:
    """`predict(variables, images)` on the devices, `features` and `steps` left out; compiled once a batch shape."""

    def step(variables: Any, images: Any) -> Any:
        outputs = predict_step(variables, images, model=model, dtype=dtype)
        return {name: value for name, value in outputs.items() if name not in NOT_SCORED}

    return jax.jit(step, out_shardings=mesh.split_batch(devices), compiler_options=runtime.compiler_options())


def model_predict(variables: Any, compiled: Callable[[Any, Any], Any], devices: Mesh) -> Predict:
    """A predictor of variables that lie on the devices, for each process's share of a batch; `box` and `looks` are of the image."""

    def predict(batch: Batch) -> Outputs:
        return _of_the_image(mesh.own_share(compiled(variables, mesh.put_batch(batch.images_bxhxwxc, devices))), batch)

    return predict


def _of_the_image(outputs: Outputs, batch: Batch) -> dict[str, Any]:
    """Outputs with `box` and `looks` (b, ..., 4) of the images, not of what the model sees; the same bits where it sees all of one.

    A box is cut at the image's edges; a window is not, so that its centre stays where it was.
    """
    found, content_bx4 = dict(outputs), np.where(batch.example_mask_b[:, None], batch.content_bx4, WHOLE)
    if (content_bx4 == WHOLE).all():
        return found
    for name, to_image in (("box", boxes.from_letterbox), ("looks", boxes.to_window)):
        if name in found:
            content = content_bx4.reshape(-1, *(1,) * (found[name].ndim - 2), 4)
            whole = (content == WHOLE).all(axis=-1, keepdims=True)
            found[name] = np.where(whole, found[name], to_image(found[name], content))
    return found


def load_variables(run: RunDir, config: ConfigDict, shape: Shape, num_classes: int, which: str, devices: Mesh) -> tuple[Any, int]:
    """What prediction uses of a run's `best` or `last` checkpoint, on the devices (however many saved it), and its step."""
    if which not in ("best", "last"):
        raise unknown("checkpoint", which, ("best", "last"))
    if not run.checkpoints.is_dir() or not any(path.name.isdigit() for path in run.checkpoints.iterdir()):
        if run.finished.is_file():
            anew = "to train anew: another --workdir, or remove that folder"
            raise UserError(f"the checkpoints of {run.path}, a finished run, are gone; {anew}")
        raise UserError(f"no whole checkpoint in {run.path}; train it first: imgloc train")
    model = build.make_model(config.model, num_classes)
    optimizer, _ = make_optimizer(config.optim, config.train.steps)
    target = mesh.placed(abstract_state(config, shape, model, optimizer), devices)
    with checkpoint.open_manager(run.checkpoints, read_only=True) as manager:
        best = checkpoint.best_step(manager) if which == "best" else None
        step = manager.latest_step() if best is None else best
        if step is None:
            raise UserError(f"no whole checkpoint in {run.checkpoints}; train it first: imgloc train")
        known = run.read(run.finished).get(f"{which}_step") if run.finished.is_file() else None
        if known is not None and known != step:
            raise UserError(f"the {which} checkpoint of {run.path}, step {known}, is gone; possible: --checkpoint last, or train again")
        return eval_variables(checkpoint.restore(manager, step, target)), int(step)


def output_names(model: nn.Module, variables: Any, shape: Shape) -> frozenset[str]:
    """What a model gives for images of a shape, by name; nothing is computed."""
    image = jax.ShapeDtypeStruct((1, *shape), np.uint8)
    return frozenset(jax.eval_shape(functools.partial(predict_step, model=model), variables, image))


def compiled_steps(model: nn.Module, devices: Mesh, dtype: Any) -> Callable[[Any, Any], Any]:
    """`steps(variables, images)`, that output alone, all of it in every process; compiled once a batch shape."""

    def step(variables: Any, images: Any) -> Any:
        return predict_step(variables, images, model=model, dtype=dtype)["steps"]

    return jax.jit(step, out_shardings=mesh.replicated(devices), compiler_options=runtime.compiler_options_once())


def steps_of(
    compiled: Callable[[Any, Any], Any], variables: Any, devices: Mesh, examples: Sequence[Example], view: View
) -> list[tuple[Outputs, FloatArray]]:
    """The output `steps` of each of some examples (NumPy, without the axis b), and the part of the view that shows its image.

    `box` and `looks` are of the image, not the view. Every process gives all examples and gets all answers.
    """
    batch = stack(examples, mesh.round_up(len(examples), devices), view, truth_in_view=False)
    share = len(batch.label_b) // jax.process_count()
    own = batch.images_bxhxwxc[jax.process_index() * share : (jax.process_index() + 1) * share]
    found = _of_the_image(jax.device_get(compiled(variables, mesh.put_batch(own, devices))), batch)
    return [({name: value[i] for name, value in found.items()}, batch.content_bx4[i]) for i in range(len(examples))]


def predict_rows(
    predictors: Mapping[str, Predict],
    source: Source,
    make_rows: Callable[[Outputs, Batch], list[Row]],
    split: str,
    *,
    batch_size: int,
    view: View,
    threads: int,
) -> dict[str, list[Row]]:
    """By each predictor one row for each example of a source (`pipeline.finite_size` of them), in its order, whatever the batch size.

    Examples that cannot be decoded get none. All are read once for all predictors. Of several processes each predicts its share
    of every batch, and all get all rows. Raises UserError where no example can be decoded.
    """
    place, count = jax.process_index(), jax.process_count()
    own: dict[str, list[list[Row]]] = {name: [] for name in predictors}  # by batch
    for examples, batch in pipeline.eval_batches(source, batch_size, view, threads=threads, place=place, count=count):
        for name, predict in predictors.items():
            found = zip(examples, make_rows(predict(batch), batch), strict=True)
            own[name].append([{"id": example.id, "group": example.group, "split": split, **row} for example, row in found])
    shares = [own] if count == 1 else [json.loads(share) for share in mesh.from_all(json.dumps(own).encode())]
    merged = {
        name: [row for batches in zip(*(share[name] for share in shares), strict=True) for rows in batches for row in rows]
        for name in predictors
    }
    if not all(merged.values()):
        raise UserError(f"none of the {pipeline.finite_size(source):,} images of split '{split}' can be decoded; see imgloc data check")
    return merged
