"""Before the first step: everything a config names is built and checked, the run folder begun, the state made."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict
from orbax.checkpoint import CheckpointManager

from imgloc import build, checkpoint, files, mesh, predict, runtime, scores, step
from imgloc import config as configs
from imgloc.data.batches import pipeline
from imgloc.data.batches.pipeline import Augmentation
from imgloc.data.batches.view import View, stack
from imgloc.errors import UserError, of_storage, reason, unknown
from imgloc.optim import compiled, make_optimizer
from imgloc.rundir import RunDir, donors, open_run, provenance
from imgloc.types import NOT_SCORED, Source


@dataclass(frozen=True)
class Parts:
    """What a config names, built and checked: everything that a run needs and nothing that changes."""

    train: Source
    validation: Source
    view: View  # how the model sees examples
    augmentation: Augmentation | None  # of those it learns from
    devices: Mesh
    places: Any  # of the state's arrays on them
    init: Callable[[Any], step.TrainState]  # of the seed; pure
    train_step: Callable[..., Any]  # compiled, of train.steps_per_call steps; its first argument is donated
    predict: Callable[[Any, Any], Any]  # compiled


def build_parts(config: ConfigDict) -> Parts:
    """Everything a config names. Raises UserError for what does not fit together; nothing is written."""
    devices = mesh.make_mesh(data=config.devices.data, fsdp=config.devices.fsdp)
    mesh.check_batch_size(config.train.batch_size, devices, config.train.accumulate)
    dtype = step.compute_dtype(config.train.dtype)
    compiled(config.train.init_skip, "train.init_skip")
    train, validation = (build.make_source(config.data, split, config.seed) for split in ("train", "validation"))
    view = build.make_view(config.data, train.info.channels)
    augmentation = build.make_augmentation(config.data.augment, view)
    model = build.make_model(config.model, len(train.info.classes))
    losses = build.make_losses(config.losses)
    optimizer, schedule = make_optimizer(config.optim, config.train.steps)
    init = functools.partial(step.init_state, shape=view.shape, model=model, optimizer=optimizer, ema_decay=config.optim.ema)
    one_step = functools.partial(
        step.train_step, model=model, losses=losses, optimizer=optimizer,
        ema_decay=config.optim.ema, accumulate=config.train.accumulate, dtype=dtype, schedule=schedule,
    )  # fmt: skip
    abstract = predict.abstract_state(config, view.shape, model, optimizer)
    _check_shapes(config, view, abstract, model, one_step, validation)
    places = mesh.split_state(abstract, devices)
    call = one_step if config.train.steps_per_call == 1 else functools.partial(step.several_steps, one_step=one_step)
    return Parts(
        train=train,
        validation=validation,
        view=view,
        augmentation=augmentation,
        devices=devices,
        places=places,
        init=init,
        train_step=jax.jit(
            call, donate_argnums=0, out_shardings=(places, mesh.replicated(devices)), compiler_options=runtime.compiler_options()
        ),
        predict=predict.compiled_predict(model, devices, dtype),
    )


def _check_shapes(config: ConfigDict, view: View, abstract: Any, model: nn.Module, one_step: Any, validation: Source) -> None:
    """Run a step and an evaluation on shapes alone, so that what cannot work fails before anything is written."""
    example = dataclasses.replace(  # with a box, so that every metric applies to it
        pipeline.first_readable(validation), boxes_nx4=np.array([[0.0, 0.0, 1.0, 1.0]], np.float32), labels_n=np.zeros(1, np.int32)
    )
    batch = stack([example], config.train.batch_size, view)
    predict_step = functools.partial(step.predict_step, model=model)
    try:
        jax.eval_shape(one_step, abstract, batch)
        outputs = jax.eval_shape(predict_step, step.eval_variables(abstract), batch.images_bxhxwxc)
    except UserError:
        raise
    except Exception as error:  # whatever a model or loss of somebody's own does
        names = ", ".join(config.losses)
        given = _output_names(predict_step, abstract, batch.images_bxhxwxc)
        if isinstance(error, KeyError) and given and error.args and error.args[0] not in given:
            raise UserError(
                f"the losses ({names}) want the output '{error.args[0]}'; model '{config.model.name}' gives {', '.join(given)}; "
                "possible: another model, or a weight of 0 for that loss"
            ) from error
        raise UserError(f"model '{config.model.name}' and losses {names} do not fit together: {reason(error, lines=1)}") from error
    classes = len(validation.info.classes)
    build.check_outputs(config.task, outputs, config.model.name, config.train.batch_size, classes)
    blank = {name: np.zeros(value.shape, np.float32) for name, value in outputs.items() if name not in NOT_SCORED}
    metrics = scores.means(build.make_task(config.task)(blank, batch))
    if config.train.eval_every and config.train.best_metric not in metrics:
        raise unknown("metric (train.best_metric)", config.train.best_metric, metrics)


def _output_names(predict_step: Callable[..., Any], abstract: Any, images: Any) -> list[str]:
    """What a model gives; none where it fails."""
    try:
        outputs = jax.eval_shape(predict_step, step.eval_variables(abstract), images)
    except Exception:
        return []
    return [name for name in outputs if name not in NOT_SCORED]


def fingerprints(parts: Parts) -> dict[str, str]:
    """What tells the data of a run from other data of the same name."""
    return {"train": parts.train.fingerprint, "validation": parts.validation.fingerprint}


def check_same_data(run: RunDir, parts: Parts) -> None:
    """Refuse to go on with a run on other data than it began with."""
    for split, now in fingerprints(parts).items():
        before = run.read(run.provenance).get("data", {}).get(split)
        if before != now:
            raise UserError(f"the {split} data of '{run.path}' has changed since the run began (fingerprint {before}, now {now})")


def begin_run(run: RunDir, config: ConfigDict, parts: Parts) -> None:
    """Write what a run is; config.json comes last, a folder without it is no run yet."""
    info = parts.train.info
    data = {"classes": list(info.classes), "channels": info.channels, "donors": donors(config)}
    made_of = provenance(fingerprints(parts), device_names(), layout(parts.devices), configs.fingerprint(config))
    try:
        files.write_json(run.data, data)
        files.write_json(run.provenance, made_of)
        files.write_json(run.config, configs.to_json(config))
    except OSError as error:
        raise UserError(f"--workdir: {of_storage(error)}") from error


def device_names() -> list[str]:
    """What each device is."""
    return [f"{device.device_kind} ({device.platform})" for device in jax.devices()]


def layout(devices: Mesh) -> dict[str, int]:
    """How many parts each mesh axis has, and how many processes there are."""
    return {**devices.shape, "processes": jax.process_count()}


def initial_state(config: ConfigDict, parts: Parts) -> step.TrainState:
    """The state before the first step on all devices, warm-started where train.init_from says so."""
    given = config.train.init_from
    donor = donor_variables(given, parts.devices) if given else None  # first: where there is none, nothing is compiled for it
    state: step.TrainState = jax.jit(parts.init, out_shardings=parts.places, compiler_options=runtime.compiler_options_once())(config.seed)
    if donor is None:
        return state
    skip = config.train.init_skip
    params = checkpoint.warm_start(state.params, donor["params"], skip)
    model_state = {name: checkpoint.warm_start(value, donor.get(name, {}), skip) for name, value in state.model_state.items()}
    ema = (params, model_state) if config.optim.ema > 0 else ()
    # Copies: the state is donated to the first step, and no two of its arrays may be the same.
    warm = state._replace(params=params, model_state=model_state, ema=ema)
    state = jax.jit(lambda given: jax.tree.map(jnp.copy, given), out_shardings=parts.places)(warm)
    return state


def last_state(config: ConfigDict, parts: Parts, manager: CheckpointManager) -> step.TrainState:
    """The state of the last checkpoint on all devices, or the initial one where there is none yet."""
    latest = manager.latest_step()
    if latest is None:
        return initial_state(config, parts)
    abstract = jax.eval_shape(parts.init, config.seed)
    return checkpoint.restore(manager, latest, mesh.placed(abstract, parts.devices))


def donor_variables(path: str, devices: Mesh) -> Any:
    """Parameters and state of another run's best checkpoint, on the devices."""
    donor, config = open_run(path)
    data = donor.read(donor.data)
    shape = (*config.data.image_size, data["channels"])
    return predict.load_variables(donor, config, shape, len(data["classes"]), "best", devices)[0]
