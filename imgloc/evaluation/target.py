"""The data on which a run is scored; data that the run was trained or selected on is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from imgloc.config import build
from imgloc.data.relabelled import match_classes
from imgloc.errors import UserError, listed
from imgloc.runs import run_dir
from imgloc.runs.recorded_data import check_unchanged, hash_groups, read_data, read_groups, seen_groups
from imgloc.runs.run_dir import RunDir
from imgloc.types import IntArray, Source

MAX_NAMED = 3  # groups in a message
OWN_SPLITS = ("train", "validation")  # whose groups a run may be scored on only under their own name


@dataclass(frozen=True)
class Target:
    """The data on which a run is scored: a split of the data set it was trained on, or a named split of another one."""

    name: str  # in rows and results: `test`, or `test@NAME`
    source: Source
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the model that replace those of training


def open_target(config: ConfigDict, split: str, *, run: RunDir | None = None, other: ConfigDict | None = None, name: str = "") -> Target:
    """The target of a split: of the run's own data, or of the data and with the model fields of the config `other`, called `name`.

    `run` is the run's folder, where training has begun: it records the classes, the fingerprints and the groups of the data that the
    run, and the runs from which it was warm-started, were trained or selected on. Labels are matched to these classes by name.
    Raises UserError where the training or validation data has changed, where the data has a class that the run does not know, and
    where another split shares groups with data that the run has seen.
    """
    fields: dict[str, Any] = {}
    if other is not None:
        trained = dict(config.model)
        fields = {key: value for key, value in other.model.items() if trained.get(key) != value}
        other = None if other.data == config.data else other
    data = config.data if other is None else other.data
    source = build.make_source(data, split, config.seed)
    full_name = f"{split}@{name}" if name else split
    begun = run if run is not None and run.config.is_file() else None
    own = other is None and split in OWN_SPLITS
    if own and begun is not None:
        check_unchanged(begun, split, source.fingerprint)
    if own:
        return Target(full_name, source, fields)
    classes, seen = (read_data(begun).classes, read_groups(begun)) if begun is not None else _not_begun(config)
    source = match_classes(source, classes)
    shared = seen_groups(source.groups, seen)
    if shared:
        raise UserError(
            f"{len(shared):,} of the {len(source.groups):,} groups (such as digits) of split '{split}' were used to train or select "
            f"this run ({listed(shared, MAX_NAMED)}); score it on data that it has not seen"
        )
    return Target(full_name, source, fields)


def named_target(
    run: RunDir,
    config: ConfigDict,
    split: str,
    *,
    checkpoint: str,
    name: str = "",
    keys: Sequence[str] = (),
    other: ConfigDict | None = None,
) -> Target:
    """The target of a split of the run's own data, or of the config `other`, in which the overrides `keys` are set, under a name.

    Raises UserError for keys that cannot change a trained run, for a missing name, and as `open_target` does.
    """
    free = [f"model.{key}" for key in build.evaluation_fields(config.model.name)]
    foreign = [key for key in keys if key not in ("data.source", *free) and not key.startswith("data.options.")]
    if foreign:
        other_data = "--config.data.source and --config.data.options.KEY, to score on other data"
        possible = ", ".join([other_data, *(f"--config.{key}" for key in free)])
        raise UserError(f"'--config.{foreign[0]}' cannot change a trained run; possible: {possible}")
    if keys and not name:
        what = "a changed model field" if keys[0] in free else "other data"
        raise UserError(f"{what} needs a name for its rows and results; add --name NAME (in Python: name='NAME')")
    if keys and (not re.fullmatch(r"[A-Za-z0-9_]+", name) or name.rsplit("_", maxsplit=1)[-1] in ("best", "last")):
        raise UserError(f"--name is '{name}'; possible: letters, digits and _, not ending in best or last")
    if name and not keys:
        raise UserError("--name is for other data or model fields; choose them with --config.data.KEY=VALUE or --config.model.KEY=VALUE")
    full = name if checkpoint == "best" else "_".join(filter(None, (name, checkpoint)))
    return open_target(config, split, run=run, other=other, name=full)


def after_training(config: ConfigDict, run: RunDir | None = None) -> tuple[Target, str] | None:
    """The target that a config scores after training, and the checkpoint (best or last); None where there is none. See `open_target`."""
    split, _, which = config.eval.after_training.partition("@")
    return (open_target(config, split, run=run, name=which), which or "best") if split else None


def _not_begun(config: ConfigDict) -> tuple[tuple[str, ...], IntArray]:
    """The classes, and the hashes of the groups, that a run of a config will record."""
    own = [build.make_source(config.data, part, config.seed) for part in OWN_SPLITS]
    groups = hash_groups(own[0].groups | own[1].groups)
    if config.train.init_from:
        groups = np.union1d(groups, read_groups(run_dir.open_run(config.train.init_from)[0]))
    return own[0].info.classes, groups
