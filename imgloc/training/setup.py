"""Everything before the first step: objects are built and checked, the run folder is started, and the state is initialized."""

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
from jax.typing import ArrayLike
from jaxtyping import PyTree
from ml_collections import ConfigDict
from orbax.checkpoint import CheckpointManager

from imgloc import files
from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.config.renames import unknown_name
from imgloc.config.task import make_task
from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import collate, ordered_truth
from imgloc.devices import mesh, runtime
from imgloc.errors import UserError, reason, storage_message
from imgloc.evaluation import scoring
from imgloc.inference import predict
from imgloc.inference.load import find_bundle, load_model
from imgloc.inference.outputs import check_outputs
from imgloc.interfaces import Task
from imgloc.nn.apply import apply_train, compute_dtype
from imgloc.runs.provenance import check_same_numerics, make_provenance
from imgloc.runs.recorded_data import check_unchanged, read_groups, write_data
from imgloc.runs.run_dir import RunDir, open_run
from imgloc.training import checkpoint, step
from imgloc.training.objective import WeightedLoss, check_losses, check_objects, make_losses
from imgloc.training.optim import compile_patterns, make_optimizer
from imgloc.training.step import TrainState
from imgloc.types import DICT_OUTPUTS, Augmentation, InputSpec, Source

NUMERICS = ("jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable", "jax_default_matmul_precision")


@dataclass(frozen=True)
class TrainingSetup:
    """The objects that a config names, built and checked; none of them changes during training."""

    train: Source
    validation: Source
    spec: InputSpec  # of the model
    augmentation: Augmentation | None  # of training examples
    task: Task
    devices: Mesh
    placement: PyTree  # the sharding of each array of the state
    init: Callable[[ArrayLike], TrainState]  # of the seed; pure
    train_step: Callable[..., Any]  # compiled, of train.steps_per_call steps; its first argument is donated
    predict: predict.Compiled


def set_up(config: ConfigDict) -> TrainingSetup:
    """Build everything that a config names. Raises UserError for parts that do not fit together; writes nothing."""
    devices = mesh.make_mesh(data=config.devices.data, fsdp=config.devices.fsdp)
    mesh.check_batch_size(config.train.batch_size, devices, config.train.grad_accum_steps)
    dtype = compute_dtype(config.train.dtype)
    compile_patterns(config.train.init_skip, "train.init_skip")
    train, validation = (build.make_source(config.data, split, config.seed) for split in ("train", "validation"))
    spec = build.make_input_spec(config.data, train.info.channels)
    augmentation = build.make_augmentation(config.data.augment, spec)
    classes = len(train.info.classes)
    model = build.make_model(config.model, classes)
    task = make_task(config)
    losses = make_losses(config.losses)
    check_objects(losses, train.info)
    optimizer, schedule = make_optimizer(config.optim, config.train.steps)
    init = functools.partial(step.init_state, shape=spec.shape, model=model, optimizer=optimizer, ema_decay=config.optim.ema)
    one_step = functools.partial(
        step.train_step, model=model, losses=losses, optimizer=optimizer, ema_decay=config.optim.ema,
        grad_accum_steps=config.train.grad_accum_steps, dtype=dtype, schedule=schedule,
        batch_transforms=build.make_batch_transforms(config.data.batch_transforms, classes),
    )  # fmt: skip
    predict.abstract_variables(model, spec.shape, config.model.name)  # raises UserError for a model that cannot be built
    abstract = jax.eval_shape(init, config.seed)
    _check_shapes(config, spec, abstract, model, task, losses, one_step, validation)
    placement = mesh.state_sharding(abstract, devices)
    call = one_step if config.train.steps_per_call == 1 else functools.partial(step.train_steps, one_step=one_step)
    shardings = (placement, mesh.replicated_sharding(devices))
    return TrainingSetup(
        train=train,
        validation=validation,
        spec=spec,
        augmentation=augmentation,
        task=task,
        devices=devices,
        placement=placement,
        init=init,
        train_step=jax.jit(call, donate_argnums=0, out_shardings=shardings, compiler_options=runtime.compiler_options()),
        predict=predict.compiled_predict(model, task, devices, dtype),
    )


def _check_shapes(
    config: ConfigDict,
    spec: InputSpec,
    abstract: TrainState,
    model: nn.Module,
    task: Task,
    losses: Sequence[WeightedLoss],
    one_step: Callable[..., Any],
    validation: Source,
) -> None:
    """Run a training step and an evaluation on shapes alone, so that everything that cannot work fails before anything is written."""
    first = pipeline.first_readable_example(validation)
    whole_image = np.array([[0.0, 0.0, 1.0, 1.0]], np.float32)
    label = max(0, first.label)
    # With a box of its class, so that every metric applies to it.
    example = dataclasses.replace(first, boxes_nx4=whole_image, labels_n=np.array([label], np.int32), label=label, difficult_n=None)
    batch = collate([example], config.train.batch_size, spec)
    name, size, classes = config.model.name, config.train.batch_size, len(validation.info.classes)
    forward = functools.partial(apply_train, key=jax.random.key(0), model=model)
    try:
        train_outputs = jax.eval_shape(forward, abstract.params, abstract.model_state, batch)[0]
        outputs = predict.abstract_outputs(model, step.eval_variables(abstract), spec.shape, size)
    except UserError:
        raise
    except Exception as error:  # a model may raise any error for unexpected inputs
        raise UserError(f"model '{name}' fails for images {spec.shape}: {reason(error, lines=1)}") from error
    check_losses(losses, train_outputs, name, size, classes)
    try:
        jax.eval_shape(one_step, abstract, batch)
    except UserError:
        raise
    except Exception as error:  # so may a loss or a batch transform
        transforms = " and data.batch_transforms" if config.data.batch_transforms else ""
        parts = f"model '{name}' with losses {', '.join(config.losses)}{transforms}"
        raise UserError(f"a training step of {parts} fails: {reason(error, lines=1)}") from error
    check_outputs(task, config.task, outputs, name, size, classes)
    blank = {key: np.zeros(value.shape, np.float32) for key, value in outputs.items() if key not in DICT_OUTPUTS}
    rows = predict.task_rows(task, blank, batch, [ordered_truth(example)])
    scoring.check_columns(rows[0], task.metrics)
    metrics = scoring.means(rows, task.metrics)
    if config.train.eval_every and config.train.best_metric not in metrics:
        raise unknown_name("metric (train.best_metric)", config.train.best_metric, metrics)


def data_fingerprints(setup: TrainingSetup) -> dict[str, str]:
    """A hash of the data of each split that training reads."""
    return {"train": setup.train.fingerprint, "validation": setup.validation.fingerprint}


def check_same_data(run: RunDir, setup: TrainingSetup) -> None:
    """Raises UserError where the data, or a setting of JAX that changes every number, has changed since the run began."""
    check_same_numerics(run, numerics())
    for split, now in data_fingerprints(setup).items():
        check_unchanged(run, split, now)


def begin_run(run: RunDir, config: ConfigDict, setup: TrainingSetup) -> None:
    """Write the files that describe a run. config.json comes last: a folder without it does not count as a run."""
    info = setup.train.info
    origin = make_provenance(data_fingerprints(setup), device_names(), mesh_layout(setup.devices), configs.fingerprint(config), numerics())
    donor = config.train.init_from
    earlier = read_groups(open_run(donor)[0]) if donor else np.zeros(0, np.uint64)
    try:
        write_data(run, info.classes, info.channels, setup.train.groups | setup.validation.groups, earlier)
        files.write_json(run.provenance, origin)
        files.write_json(run.config, configs.to_json(config))
    except OSError as error:
        raise UserError(f"--workdir: {storage_message(error)}") from error


def numerics() -> dict[str, str]:
    """The settings of JAX that give other numbers under the same config."""
    return {name: str(getattr(jax.config, name)) for name in NUMERICS}


def device_names() -> list[str]:
    """The kind and platform of each device."""
    return [f"{device.device_kind} ({device.platform})" for device in jax.devices()]


def mesh_layout(devices: Mesh) -> dict[str, int]:
    """The size of each mesh axis, and the number of processes."""
    return {**devices.shape, "processes": jax.process_count()}


def initial_state(config: ConfigDict, setup: TrainingSetup) -> TrainState:
    """The state before the first step on all devices, with the parameters of the run that `train.init_from` names, if any."""
    # First: without a donor model, the run fails before anything is compiled.
    donor = _donor_variables(config.train.init_from, setup.devices) if config.train.init_from else None
    init = jax.jit(setup.init, out_shardings=setup.placement, compiler_options=runtime.compiler_options_once())
    state: TrainState = init(config.seed)
    if donor is None:
        return state
    skip = config.train.init_skip
    params = checkpoint.warm_start(state.params, donor["params"], skip)
    model_state = {name: checkpoint.warm_start(value, donor.get(name, {}), skip) for name, value in state.model_state.items()}
    warm = state._replace(params=params, model_state=model_state, ema=(params, model_state) if config.optim.ema > 0 else ())
    # Copies: the state is donated to the first step, and no two of its arrays may share memory.
    state = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree), out_shardings=setup.placement)(warm)
    return state


def last_state(config: ConfigDict, setup: TrainingSetup, manager: CheckpointManager) -> TrainState:
    """The state of the latest checkpoint on all devices; the initial state where there is no checkpoint yet."""
    latest = manager.latest_step()
    if latest is None:
        return initial_state(config, setup)
    abstract = jax.eval_shape(setup.init, config.seed)
    return checkpoint.restore(manager, latest, mesh.abstract_state(abstract, setup.devices))


def _donor_variables(path: str, devices: Mesh) -> PyTree:
    """The variables of the best model of another run, on the devices."""
    return load_model(find_bundle(open_run(path)[0].path, "best"), devices).variables
