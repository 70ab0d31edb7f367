"""Where the variables of a run start: at those of another run, or at published weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PyTree
from ml_collections import ConfigDict

from imgloc.errors import UserError
from imgloc.inference.bundle import named
from imgloc.inference.load import find_bundle, load_model
from imgloc.inference.published import published_variables
from imgloc.pretrained.loading.find import find_weights
from imgloc.runs.run_dir import RunDir, open_run
from imgloc.training.channels import narrowed
from imgloc.training.optim import compile_patterns


class Donor(NamedTuple):
    """Variables that a run starts from."""

    values: Mapping[str, Any]  # by path, `params/a/b`
    whole: bool  # whether it must have every variable that is not skipped
    setting: str  # that names it, for messages


def find_donor(config: ConfigDict, variables: PyTree, devices: Mesh) -> Donor | None:
    """The run that `train.init_from` names, or else the weights of `model.pretrained`; None without either.

    `variables` has the shapes of those of the model. Raises UserError for weights that do not fit it.
    """
    if config.compression.structured and not config.train.init_from:
        raise UserError("compression.structured needs train.init_from, the run of the wider model; set it, or use imgloc compress")
    if config.train.init_from:
        folder = find_bundle(open_run(config.train.init_from)[0].path, "best")
        trained = load_model(folder, devices)
        values: Mapping[str, Any] = named(trained.variables)
        if config.compression.structured:
            values = narrowed(values, trained.module, trained.variables, variables, trained.spec.shape)
        return Donor(values, whole=True, setting=f"train.init_from={config.train.init_from}")
    if config.model.pretrained:
        weights = published_variables(config.model, find_weights(config.model.pretrained), variables)
        return Donor(weights, whole=False, setting=f"model.pretrained={config.model.pretrained}")
    return None


def warm_start(variables: PyTree, donor: Donor, skip: Sequence[str]) -> PyTree:
    """`variables` with the values of the donor, except those whose path, without its collection, matches a pattern of `skip`.

    Raises UserError where the donor has another shape, or lacks a variable that it must have.
    """
    patterns = compile_patterns(skip, "train.init_skip")

    def pick(full: str, leaf: jax.Array) -> Any:
        name = full.partition("/")[2]
        if any(pattern.search(name) for pattern in patterns) or (full not in donor.values and not donor.whole):
            return leaf
        if full not in donor.values or np.shape(donor.values[full]) != np.shape(leaf):
            got = np.shape(donor.values[full]) if full in donor.values else "none"
            raise UserError(
                f"{donor.setting}: parameter '{name}' must have shape {np.shape(leaf)}, got {got} there; "
                "add it to train.init_skip to initialize it at random"
            )
        return donor.values[full]

    return jax.tree.unflatten(jax.tree.structure(variables), [pick(name, leaf) for name, leaf in named(variables).items()])


def weights_facts(config: ConfigDict) -> dict[str, Any]:
    """What provenance records of published weights: {} where the run starts elsewhere."""
    if config.train.init_from or not config.model.pretrained:
        return {}
    file = find_weights(config.model.pretrained)
    return {"pretrained": {"weights": config.model.pretrained, "file": file.path.name, "sha256": file.sha256}}


def check_same_weights(run: RunDir, config: ConfigDict) -> None:
    """Raises UserError where the file of published weights is not the one that the run began with."""
    began, now = run.read(run.provenance).get("pretrained"), weights_facts(config).get("pretrained")
    if began != now:
        raise UserError(
            f"the file of the weights '{config.model.pretrained}' has changed since the run '{run.path}' began; "
            "restore it, or train again with another --workdir"
        )
