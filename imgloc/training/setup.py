"""Before the first step: everything a config names is built and checked, the run folder begun, the state made."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict
from orbax.checkpoint import CheckpointManager

from imgloc import files
from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.config.registry import declared
from imgloc.config.renames import unknown
from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import collate
from imgloc.devices import mesh, runtime
from imgloc.errors import UserError, of_storage, reason
from imgloc.evaluation import scoring
from imgloc.inference import predict
from imgloc.inference.load import find_bundle, load_model
from imgloc.inference.outputs import check_outputs
from imgloc.interfaces import Task
from imgloc.nn.apply import apply_train, compute_dtype
from imgloc.runs.provenance import provenance
from imgloc.runs.run_dir import RunDir, donors, open_run
from imgloc.training import checkpoint, step
from imgloc.training.objective import WeightedLoss, check_losses, make_losses
from imgloc.training.optim import compiled, make_optimizer
from imgloc.types import DICT_OUTPUTS, Augmentation, InputSpec, Source


@dataclass(frozen=True)
class TrainingSetup:
    """What a config names, built and checked: everything that a run needs and nothing that changes."""

    train: Source
    validation: Source
    spec: InputSpec  # of the model
    augmentation: Augmentation | None  # of training examples
    task: Task
    devices: Mesh
    placement: Any  # shardings of the state's arrays on them
    init: Callable[[Any], step.TrainState]  # of the seed; pure
    train_step: Callable[..., Any]  # compiled, of train.steps_per_call steps; its first argument is donated
    predict: Callable[[Any, Any], Any]  # compiled


def set_up(config: ConfigDict) -> TrainingSetup:
    """Everything a config names. Raises UserError for what does not fit together; nothing is written."""
    devices = mesh.make_mesh(data=config.devices.data, fsdp=config.devices.fsdp)
    mesh.check_batch_size(config.train.batch_size, devices, config.train.grad_accum_steps)
    dtype = compute_dtype(config.train.dtype)
    compiled(config.train.init_skip, "train.init_skip")
    train, validation = (build.make_source(config.data, split, config.seed) for split in ("train", "validation"))
    spec = build.make_input_spec(config.data, train.info.channels)
    augmentation = build.make_augmentation(config.data.augment, spec)
    model = build.make_model(config.model, len(train.info.classes))
    task = declared("tasks", config.task, Task)
    losses = make_losses(config.losses)
    optimizer, schedule = make_optimizer(config.optim, config.train.steps)
    init = functools.partial(step.init_state, shape=spec.shape, model=model, optimizer=optimizer, ema_decay=config.optim.ema)
    one_step = functools.partial(
        step.train_step, model=model, losses=losses, optimizer=optimizer, ema_decay=config.optim.ema,
        grad_accum_steps=config.train.grad_accum_steps, batch_transforms=build.make_batch_transforms(config.data.batch_transforms),
        dtype=dtype, schedule=schedule,
    )  # fmt: skip
    predict.abstract_variables(model, spec.shape, config.model.name)  # refuses a model that cannot be built
    abstract = jax.eval_shape(init, config.seed)
    _check_shapes(config, spec, abstract, model, task, losses, one_step, validation)
    placement = mesh.split_state(abstract, devices)
    call = one_step if config.train.steps_per_call == 1 else functools.partial(step.several_steps, one_step=one_step)
    return TrainingSetup(
        train=train,
        validation=validation,
        spec=spec,
        augmentation=augmentation,
        task=task,
        devices=devices,
        placement=placement,
        init=init,
        train_step=jax.jit(
            call, donate_argnums=0, out_shardings=(placement, mesh.replicated(devices)), compiler_options=runtime.compiler_options()
        ),
        predict=predict.compiled_predict(model, task, devices, dtype),
    )


def _check_shapes(
    config: ConfigDict,
    spec: InputSpec,
    abstract: Any,
    model: nn.Module,
    task: Task,
    losses: Sequence[WeightedLoss],
    one_step: Callable[..., Any],
    validation: Source,
) -> None:
    """Run a step and an evaluation on shapes alone, so that what cannot work fails before anything is written."""
    example = dataclasses.replace(  # with a box, so that every metric applies to it
        pipeline.first_readable(validation), boxes_nx4=np.array([[0.0, 0.0, 1.0, 1.0]], np.float32), labels_n=np.zeros(1, np.int32)
    )
    batch = collate([example], config.train.batch_size, spec)
    name, size, classes = config.model.name, config.train.batch_size, len(validation.info.classes)
    forward = functools.partial(apply_train, key=jax.random.key(0), model=model)
    try:
        trained = jax.eval_shape(forward, abstract.params, abstract.model_state, batch)[0]
        outputs = predict.abstract_outputs(model, step.eval_variables(abstract), spec.shape, size)
    except UserError:
        raise
    except Exception as error:  # a model may raise anything for inputs that it does not expect
        raise UserError(f"model '{name}' fails for images {spec.shape}: {reason(error, lines=1)}") from error
    check_losses(losses, trained, name, size, classes)
    try:
        jax.eval_shape(one_step, abstract, batch)
    except UserError:
        raise
    except Exception as error:  # so may a loss or a batch transform
        raise UserError(f"model '{name}' and losses {', '.join(config.losses)} do not fit together: {reason(error, lines=1)}") from error
    check_outputs(task, config.task, outputs, name, size, classes)
    blank = {key: np.zeros(value.shape, np.float32) for key, value in outputs.items() if key not in DICT_OUTPUTS}
    metrics = scoring.means(predict.task_rows(task, blank, batch))
    if config.train.eval_every and config.train.best_metric not in metrics:
        raise unknown("metric (train.best_metric)", config.train.best_metric, metrics)


def fingerprints(parts: TrainingSetup) -> dict[str, str]:
    """What tells the data of a run from other data of the same name."""
    return {"train": parts.train.fingerprint, "validation": parts.validation.fingerprint}


def check_same_data(run: RunDir, parts: TrainingSetup) -> None:
    """Refuse to go on with a run on other data than it began with."""
    for split, now in fingerprints(parts).items():
        before = run.read(run.provenance).get("data", {}).get(split)
        if before != now:
            raise UserError(f"the {split} data of '{run.path}' has changed since the run began (fingerprint {before}, now {now})")


def begin_run(run: RunDir, config: ConfigDict, parts: TrainingSetup) -> None:
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


def initial_state(config: ConfigDict, parts: TrainingSetup) -> step.TrainState:
    """The state before the first step on all devices, warm-started where train.init_from says so."""
    given = config.train.init_from
    donor = donor_variables(given, parts.devices) if given else None  # first: where there is none, nothing is compiled for it
    state: step.TrainState = jax.jit(parts.init, out_shardings=parts.placement, compiler_options=runtime.compiler_options_once())(
        config.seed
    )
    if donor is None:
        return state
    skip = config.train.init_skip
    params = checkpoint.warm_start(state.params, donor["params"], skip)
    model_state = {name: checkpoint.warm_start(value, donor.get(name, {}), skip) for name, value in state.model_state.items()}
    ema = (params, model_state) if config.optim.ema > 0 else ()
    # Copies: the state is donated to the first step, and no two of its arrays may be the same.
    warm = state._replace(params=params, model_state=model_state, ema=ema)
    state = jax.jit(lambda given: jax.tree.map(jnp.copy, given), out_shardings=parts.placement)(warm)
    return state


def last_state(config: ConfigDict, parts: TrainingSetup, manager: CheckpointManager) -> step.TrainState:
    """The state of the last checkpoint on all devices, or the initial one where there is none yet."""
    latest = manager.latest_step()
    if latest is None:
        return initial_state(config, parts)
    abstract = jax.eval_shape(parts.init, config.seed)
    return checkpoint.restore(manager, latest, mesh.placed(abstract, parts.devices))


def donor_variables(path: str, devices: Mesh) -> Any:
    """The variables of another run's best model, on the devices."""
    return load_model(find_bundle(open_run(path)[0].path, "best"), devices).variables
