"""Everything before the first step: objects are built and checked, the run folder is started, and the state is initialized."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import PyTree
from ml_collections import ConfigDict
from orbax.checkpoint import CheckpointManager

from imgloc import files
from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.config.task import make_task
from imgloc.devices import mesh, runtime
from imgloc.errors import UserError, storage_message
from imgloc.inference import predict
from imgloc.interfaces import Task
from imgloc.nn.apply import compute_dtype
from imgloc.nn.preprocess import AnyModel, with_steps
from imgloc.nn.quantization import with_fake_quantization
from imgloc.runs.provenance import check_same_numerics, make_provenance
from imgloc.runs.recorded_data import check_unchanged, read_groups, write_data
from imgloc.runs.run_dir import RunDir, open_run
from imgloc.training import checkpoint, step
from imgloc.training.checks import check_shapes
from imgloc.training.distillation import donors, teacher_facts, teacher_transforms
from imgloc.training.hyperparameters import Hyperparameters, hyperparameters, program_fingerprint, with_hyperparameters
from imgloc.training.objective import Metrics, check_objects, make_losses
from imgloc.training.optim import check_patterns, compile_patterns, make_optimizer
from imgloc.training.pruning import with_pruning
from imgloc.training.step import TrainState
from imgloc.training.warm_start import find_donor, warm_start, weights_facts
from imgloc.types import Augmentation, Batch, InputSpec, Source

NUMERICS = ("jax_enable_x64", "jax_default_prng_impl", "jax_threefry_partitionable", "jax_default_matmul_precision")


class RunParts(Protocol):
    """The objects that a run has whether its model is trained by gradients or fitted."""

    @property
    def train(self) -> Source: ...
    @property
    def validation(self) -> Source: ...
    @property
    def spec(self) -> InputSpec: ...
    @property
    def task(self) -> Task: ...
    @property
    def devices(self) -> Mesh: ...


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
    #: (state, batch) -> (state, metrics), compiled, of train.steps_per_call steps. The state is donated. It is a partial application
    #: of the function that all runs of the same program share to the hyperparameters of this run.
    train_step: functools.partial[Any]
    predict: predict.Compiled


@dataclass(frozen=True)
class Opened:
    """What the runs of one process share: compiled programs, and data that is equal. A new object shares nothing yet."""

    setups: dict[str, TrainingSetup] = field(default_factory=dict)  # by program
    sources: dict[str, Source] = field(default_factory=dict)  # by settings and fingerprint
    populations: dict[Any, Any] = field(default_factory=dict)  # compiled functions of populations, by the function of one run

    def source(self, config: ConfigDict, split: str) -> Source:
        """The source of a split. Seeds with the same examples and settings of `data` share one, so that these are in memory once."""
        source = build.make_source(config.data, split, config.seed)
        key = files.fingerprint([configs.to_json(config.data), split, source.fingerprint])
        return self.sources.setdefault(key, source)


def set_up(config: ConfigDict, opened: Opened | None = None) -> TrainingSetup:
    """Build everything that a config names, or take it from what earlier runs of this process have opened.

    Raises UserError for parts that do not fit together; writes nothing.
    """
    devices = mesh.make_mesh(data=config.devices.data, fsdp=config.devices.fsdp)
    mesh.check_batch_size(config.train.batch_size, devices, config.train.grad_accum_steps)
    opened = opened or Opened()
    train, validation = (opened.source(config, split) for split in ("train", "validation"))
    program = f"{program_fingerprint(config)} {files.fingerprint([train.info.classes, train.info.channels])}"
    if program not in opened.setups:
        opened.setups[program] = _build(config, train, validation, devices)
    shared = opened.setups[program]
    train_step = functools.partial(shared.train_step.func, mesh.put_everywhere(hyperparameters(config), devices))
    return dataclasses.replace(shared, train=train, validation=validation, train_step=train_step)


def _build(config: ConfigDict, train: Source, validation: Source, devices: Mesh) -> TrainingSetup:
    dtype = compute_dtype(config.train.dtype)
    compile_patterns(config.train.init_skip, "train.init_skip")
    spec = build.make_input_spec(config.data, train.info.channels)
    augmentation = build.make_augmentation(config.data.augment, spec)
    classes = len(train.info.classes)
    model = _make_model(config, classes)
    task = make_task(config)
    losses = make_losses(config.losses)
    check_objects(losses, train.info)
    optimizer, _ = _make_optimizer(config)
    init = functools.partial(step.init_state, shape=spec.shape, model=model, optimizer=optimizer, ema_decay=config.optim.ema)
    fixed = {
        "grad_accum_steps": config.train.grad_accum_steps,
        "batch_transforms": (
            *build.make_batch_transforms(config.data.batch_transforms, classes), *teacher_transforms(config, spec, train.info.classes),
        ),
        "dtype": dtype,
        "frozen": compile_patterns(config.optim.frozen, "optim.frozen"),
    }  # fmt: skip

    def one_step(numbers: Hyperparameters, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        given = with_hyperparameters(config, numbers)
        optimizer, schedule = _make_optimizer(given)
        changing = {
            "model": _make_model(given, classes),
            "losses": make_losses(given.losses),
            "optimizer": optimizer,
            "schedule": schedule,
            "ema_decay": given.optim.ema,
        }
        return step.train_step(state, batch, **changing, **fixed)

    with predict.naming_model(config.model.name, spec.shape):
        abstract = jax.eval_shape(init, config.seed)
    check_patterns(config.optim, abstract.params)
    placement = mesh.state_sharding(abstract, devices)
    shardings = (placement, mesh.replicated_sharding(devices))

    def several_steps(numbers: Hyperparameters, *arguments: Any) -> tuple[TrainState, Metrics]:
        return step.train_steps(*arguments, one_step=functools.partial(one_step, numbers))

    call = one_step if config.train.steps_per_call == 1 else several_steps
    compiled = jax.jit(call, donate_argnums=1, out_shardings=shardings, compiler_options=runtime.compiler_options())
    traced = compiled if config.train.steps_per_call == 1 else jax.jit(one_step)
    trace_step = functools.partial(_trace_step, traced, config, abstract, devices)
    check_shapes(config, spec, abstract, model, task, losses, trace_step, validation)
    return TrainingSetup(
        train=train,
        validation=validation,
        spec=spec,
        augmentation=augmentation,
        task=task,
        devices=devices,
        placement=placement,
        init=init,
        train_step=functools.partial(compiled),
        predict=predict.compiled_predict(model, task, devices, dtype),
    )


def _trace_step(traced: Any, config: ConfigDict, abstract: TrainState, devices: Mesh, batch: Batch) -> None:
    """Trace a step; the first call of the same function takes this trace where its arguments have the same types and shardings."""
    numbers = mesh.put_everywhere(hyperparameters(config), devices)
    traced.eval_shape(numbers, mesh.abstract_state(abstract, devices), mesh.abstract_batch(batch, devices))


def _make_model(config: ConfigDict, classes: int) -> AnyModel:
    """The model with the preprocessing and, where `compression.int8` is set, with rounded parameters."""
    model = with_steps(build.make_model(config.model, classes), build.make_steps(config.data.preprocess))
    compression = config.compression
    if not compression.int8:
        return model
    return with_fake_quantization(model, compression.calibration, compile_patterns(compression.exclude, "compression.exclude"))


def _make_optimizer(config: ConfigDict) -> tuple[optax.GradientTransformation, optax.Schedule]:
    """The optimizer with the pruning of `compression`, and its schedule. Frozen parameters are not pruned."""
    optimizer, schedule = make_optimizer(config.optim, config.train.steps)
    excluded = compile_patterns((*config.compression.exclude, *config.optim.frozen), "compression.exclude")
    return with_pruning(optimizer, config.compression, config.train.steps, excluded), schedule


def data_fingerprints(setup: RunParts) -> dict[str, str]:
    """A hash of the data of each split that training reads."""
    return {"train": setup.train.fingerprint, "validation": setup.validation.fingerprint}


def check_same_data(run: RunDir, setup: RunParts) -> None:
    """Raises UserError where the data, or a setting of JAX that changes every number, has changed since the run began."""
    check_same_numerics(run, numerics())
    for split, now in data_fingerprints(setup).items():
        check_unchanged(run, split, now)


def begin_run(run: RunDir, config: ConfigDict, setup: RunParts) -> None:
    """Write the files that describe a run. config.json comes last: a folder without it does not count as a run."""
    info = setup.train.info
    origin = make_provenance(data_fingerprints(setup), device_names(), mesh_layout(setup.devices), configs.fingerprint(config), numerics())
    earlier = np.concatenate([np.zeros(0, np.uint64), *(read_groups(open_run(run)[0]) for run in donors(config))])
    try:
        write_data(run, info.classes, info.channels, setup.train.groups | setup.validation.groups, earlier)
        files.write_json(run.provenance, {**origin, **weights_facts(config), **teacher_facts(config)})
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
    """The state before the first step on all devices, with the variables of `train.init_from` or `model.pretrained`, if any."""
    # First: without a donor, or with one that does not fit, the run fails before anything is compiled.
    donor = find_donor(config, step.variables_of(jax.eval_shape(setup.init, config.seed)), setup.devices)
    init = jax.jit(setup.init, out_shardings=setup.placement, compiler_options=runtime.compiler_options_once())
    state: TrainState = init(config.seed)
    if donor is None:
        return state
    model_state = dict(warm_start(step.variables_of(state), donor, config.train.init_skip))
    params = model_state.pop("params")
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
