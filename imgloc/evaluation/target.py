"""The data on which a run is scored; data that the run was trained or selected on is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ml_collections import ConfigDict

from imgloc.config import build
from imgloc.config import schema as configs
from imgloc.errors import UserError
from imgloc.runs import run_dir
from imgloc.runs.run_dir import RunDir
from imgloc.types import Source

OWN_SPLITS = ("train", "validation")  # whose groups a run may be scored on only under their own name


@dataclass(frozen=True)
class Target:
    """The data on which a run is scored: a split of the data set it was trained on, or a named split of another one."""

    name: str  # in rows and results: `test`, or `test@NAME`
    source: Source
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the model that replace those of training


def open_target(config: ConfigDict, split: str, *, run: RunDir | None = None, other: ConfigDict | None = None, name: str = "") -> Target:
    """The target of a split: of the run's own data, or of the data and with the model fields of the config `other`, called `name`.

    `run` is the run's folder, where it exists: it records the data of the runs from which it was warm-started. Raises UserError where
    the split shares groups with data that the run was trained or selected on, or has other classes.
    """
    fields: dict[str, Any] = {}
    if other is not None:
        trained = dict(config.model)
        fields = {key: value for key, value in other.model.items() if trained.get(key) != value}
        other = None if other.data == config.data else other
    data = config.data if other is None else other.data
    source = build.make_source(data, split, config.seed)
    full_name = f"{split}@{name}" if name else split
    if other is None and split in OWN_SPLITS:
        return Target(full_name, source, fields)
    seen, classes = _seen(config, run_dir.warm_start_donors(config, run))
    if source.info.classes != classes:
        theirs, ours = (
            f"{len(names)} classes ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})" for names in (source.info.classes, classes)
        )
        raise UserError(f"the data has {theirs}, the run has {ours}; choose data with the same classes in the same order")
    shared = source.groups & seen
    if shared:
        raise UserError(
            f"{len(shared):,} of the {len(source.groups):,} groups (such as digits) of split '{split}' were used to train or select "
            "this run; score it on data that it has not seen"
        )
    return Target(full_name, source, fields)


def after_training(config: ConfigDict, run: RunDir | None = None) -> tuple[Target, str] | None:
    """The target that a config scores after training, and the checkpoint (best or last); None where there is none. See `open_target`."""
    split, _, which = config.eval.after_training.partition("@")
    return (open_target(config, split, run=run, name=which), which or "best") if split else None


def _seen(config: ConfigDict, donors: Sequence[Mapping[str, Any]]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The groups on which a run, and the runs from which it was warm-started, were trained or selected; and the classes of the run."""
    own = [build.make_source(config.data, part, config.seed) for part in OWN_SPLITS]
    groups = own[0].groups | own[1].groups
    for donor in donors:
        data = configs.from_json(donor["data"])
        groups |= frozenset().union(*(build.make_source(data, part, donor["seed"]).groups for part in OWN_SPLITS))
    return groups, own[0].info.classes
