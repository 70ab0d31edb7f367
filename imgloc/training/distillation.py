"""Learning from the answers of a trained model as well as from the truth (Hinton et al., 2015, arXiv:1503.02531)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from imgloc.errors import UserError, listed
from imgloc.inference.bundle import read_bundle
from imgloc.inference.load import TrainedModel, find_bundle, open_model
from imgloc.nn.apply import predict_step
from imgloc.runs.run_dir import RunDir, open_run
from imgloc.training.step import BatchTransform
from imgloc.types import Batch, InputSpec


def teacher_transforms(config: ConfigDict, spec: InputSpec, classes: tuple[str, ...]) -> tuple[BatchTransform, ...]:
    """The batch transform that mixes the answers of `compression.teacher` into the truth of a batch; none without a teacher.

    Raises UserError for a teacher with other classes, images or outputs.
    """
    run, weight = config.compression.teacher, config.compression.teacher_weight
    if not run:
        return ()
    teacher = open_model(open_run(run)[0].path)
    for what, got, expected in (("classes", teacher.classes, classes), ("images", teacher.spec.shape, spec.shape)):
        if got != expected:
            both = f"{_summary(got)}, and this config {_summary(expected)}"
            raise UserError(f"compression.teacher={run} has other {what} ({both}); choose a teacher that was trained on the same data")
    outputs = jax.eval_shape(lambda: _answers(teacher, np.zeros((1, *spec.shape), np.uint8)))
    if outputs["logits"] is None:
        raise UserError(f"compression.teacher={run}: its model '{teacher.name}' has no output 'logits'; possible: tasks with one class")

    def transform(batch: Batch, key: jax.Array) -> Batch:
        return mixed(batch, _answers(teacher, batch.images_bxhxwxc), weight)

    return (transform,)


def _summary(facts: tuple[int | str, ...]) -> str:
    """Classes or an image shape in a few words."""
    return f"{len(facts)} of them: {listed(list(map(str, facts)), 3)}" if any(isinstance(each, str) for each in facts) else str(facts)


def _answers(teacher: TrainedModel, images_bxhxwxc: Any) -> dict[str, jax.Array | None]:
    variables = jax.tree.map(np.asarray, teacher.variables)  # constants of the compiled step, on any devices
    outputs = predict_step(variables, images_bxhxwxc, model=teacher.module, dtype=teacher.dtype)
    return {"logits": outputs.get("logits"), "box": outputs.get("box")}


def mixed(batch: Batch, answers: dict[str, jax.Array | None], weight: float) -> Batch:
    """The batch whose truth is (1 - weight) of its own and `weight` of the probabilities (b, k) and the box (b, 4) of a teacher.

    The probabilities are the softmax of `logits`. An image without a class or an object keeps its truth.
    """
    logits, box = answers["logits"], answers["box"]
    if logits is None:
        raise ValueError("a teacher needs the output 'logits'")
    own = batch.soft_label_bxk
    own = jax.nn.one_hot(batch.label_b, logits.shape[-1]) if own is None else own
    labeled = (batch.label_b >= 0)[:, None]
    soft = jnp.where(labeled, (1 - weight) * own + weight * jax.nn.softmax(logits), own)
    batch = batch._replace(soft_label_bxk=jax.lax.stop_gradient(soft))
    if box is None:
        return batch
    first = batch.boxes_bxnx4[:, 0]
    target = jnp.where(batch.object_mask_bxn[:, :1], (1 - weight) * first + weight * box, first)
    return batch._replace(boxes_bxnx4=jnp.asarray(batch.boxes_bxnx4).at[:, 0].set(jax.lax.stop_gradient(target)))


def donors(config: ConfigDict) -> tuple[str, ...]:
    """The runs that a config starts or learns from: what they were trained on, its run has seen as well."""
    return tuple(dict.fromkeys(filter(None, (config.train.init_from, config.compression.teacher))))


def check_same_teacher(run: RunDir, config: ConfigDict) -> None:
    """Raises UserError where the teacher is not the one that the run began with."""
    if run.read(run.provenance).get("teacher") != teacher_facts(config).get("teacher"):
        teacher = f"the trained model of compression.teacher={config.compression.teacher}"
        raise UserError(f"{teacher} has changed since the run '{run.path}' began; restore it, or train again with another --workdir")


def teacher_facts(config: ConfigDict) -> dict[str, Any]:
    """What provenance records of the teacher: its bundle, by fingerprint; {} without one."""
    run = config.compression.teacher
    return {"teacher": read_bundle(find_bundle(open_run(run)[0].path, "best")).fingerprint} if run else {}
