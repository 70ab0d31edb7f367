"""From a trained run to saved rows, pictures for the gallery, results.json and the table that is printed."""

from __future__ import annotations

import contextlib
import difflib
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jax
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh
from ml_collections import ConfigDict

from imgloc import baselines, build, draw, files, mesh, predict, rundir, saved_steps, scores
from imgloc import config as configs
from imgloc import summary as summaries
from imgloc.data.batches import pipeline
from imgloc.data.batches.view import View
from imgloc.distributed import ending_at_once
from imgloc.errors import UnreadableImage, UserError
from imgloc.rows import PREDICTORS, read_meta, read_rows, write_rows
from imgloc.rundir import RunDir, command_line, commit
from imgloc.stats import Interval
from imgloc.step import compute_dtype
from imgloc.types import NOT_SCORED, FloatArray, IntArray, Row, Source, TruthKnown

STEPS_OF = 2  # best, median and worst cases each whose answers are kept step by step, where the model has steps
MOST_STEPS = 24  # examples whose steps are asked for at once, at most
OWN_SPLITS = ("train", "validation")  # whose digits a run may be scored on only under their own name


@dataclass(frozen=True)
class Target:
    """What a run is scored on: a split of its own data, or of other data under a name of its own."""

    name: str  # of rows and results: `test`, or `test@NAME`
    source: Source
    fields: Mapping[str, Any] = field(default_factory=dict)  # of the model, that differ from those it was trained with


@dataclass(frozen=True)
class _Scoring:
    """What rows and steps are made of."""

    run: RunDir
    config: ConfigDict
    target: Target
    model: nn.Module
    variables: Any
    view: View
    meta: dict[str, Any]
    devices: Mesh

    @cached_property
    def outputs(self) -> frozenset[str]:
        """What the model gives, by name."""
        return predict.output_names(self.model, self.variables, self.view.shape)


def open_target(config: ConfigDict, split: str, *, run: RunDir | None = None, other: ConfigDict | None = None, name: str = "") -> Target:
    """The split to score a run on: of its own data, or of the `other` config's, called `name`, by the model that that one names.

    `run` is its folder, where it may have begun: it knows what its donors have seen, who are looked up else.
    Raises UserError where it shares groups with what the run was trained or chosen on.
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
    seen, classes = _seen(config, rundir.donors(config, run))
    if source.info.classes != classes:
        raise UserError(f"that data has the classes {', '.join(source.info.classes)}; the run knows {', '.join(classes)}")
    shared = source.groups & seen
    if shared:
        raise UserError(
            f"refused: {len(shared):,} of the {len(source.groups):,} groups (such as digits) of split '{split}' "
            "were used to train or choose this run; score it on data it has not seen"
        )
    return Target(full_name, source, fields)


def after_training(config: ConfigDict, run: RunDir | None = None) -> tuple[Target, str] | None:
    """What a config has scored when training has finished, and by which checkpoint; see `open_target`."""
    split, _, which = config.eval.after_training.partition("@")
    return (open_target(config, split, run=run, name=which), which or "best") if split else None


def _seen(config: ConfigDict, donors: Sequence[Mapping[str, Any]]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The groups that a run, and the runs that it was warm-started from, were trained or chosen on; and its classes."""
    own = [build.make_source(config.data, part, config.seed) for part in OWN_SPLITS]
    groups = own[0].groups | own[1].groups
    for donor in donors:
        data = configs.from_json(donor["data"])
        groups |= frozenset().union(*(build.make_source(data, part, donor["seed"]).groups for part in OWN_SPLITS))
    return groups, own[0].info.classes


def evaluate(
    run: RunDir, config: ConfigDict, target: Target, *, which: str = "best", steps: Sequence[str] = ()
) -> dict[str, dict[str, Interval]]:
    """Score a run's checkpoint and the baselines on a target; rows that are current are not made again.

    Writes the rows, the gallery's pictures, results.json, and of a model that has them the steps of some of the gallery's
    examples and of those with the ids `steps`; returns {predictor: {metric: interval}}.
    Of several processes each predicts its share and the first one writes and returns; the others return {}.
    """
    files.check_writable(run.path)
    summary = run.read(run.data)
    classes = tuple(summary["classes"])
    view = build.make_view(config.data, summary["channels"])
    devices = mesh.evaluation_mesh(config.devices.fsdp)
    variables, step = predict.load_variables(run, config, view.shape, len(classes), which, devices)
    meta = {
        "config": configs.fingerprint(config),
        "checkpoint": which,
        "step": step,
        "data": target.source.fingerprint,
        "split": target.name,
        "fields": dict(target.fields) or None,  # None is expected too: rows made with some are not those of a run made without
    }
    model = build.make_model(ConfigDict({**config.model, **target.fields}), len(classes))
    scoring = _Scoring(run, config, target, model, variables, view, meta, devices)
    chosen = _chosen(scoring, steps) if steps else {}
    current = {name: _is_current(scoring, name) for name in PREDICTORS}
    keys = {name: target.name if name == "model" else f"{target.name}/{name}" for name in PREDICTORS}
    mesh.barrier("rows were looked at")  # before the first process writes new ones
    with ending_at_once():
        if not all(current.values()):
            if jax.process_index() == 0:
                _drop_results(run, keys.values())
            _write_all_rows(scoring)
        if chosen:
            _write_steps(scoring, dict.fromkeys(chosen, "chosen"), chosen)
    if jax.process_index() > 0:
        return {}

    found = {}
    for name in PREDICTORS:
        rows = read_rows(run.rows(target.name, name), expected=meta)
        found[name] = scores.intervals(rows, classes, resamples=config.eval.resamples)
    scored = {keys[name]: scores.to_json(intervals) for name, intervals in found.items()}
    files.write_json(run.results, run.known_results() | scored)
    return found


def _drop_results(run: RunDir, keys: Collection[str]) -> None:
    """Take out results whose rows are about to be written, so that old ones never stand beside new rows."""
    known = run.known_results()
    if any(key in known for key in keys):
        files.write_json(run.results, {key: value for key, value in known.items() if key not in keys})


def _is_current(scoring: _Scoring, predictor: str) -> bool:
    path = scoring.run.rows(scoring.target.name, predictor)
    try:
        read_rows(path, expected=scoring.meta)
    except UserError:
        return False
    # Rows that do not tell of what outputs they were made are of a version that left the windows out.
    return predictor != "model" or "outputs" in (read_meta(path) or {}) or "looks" not in scoring.outputs


def _write_all_rows(scoring: _Scoring) -> None:
    run, config, target, devices = scoring.run, scoring.config, scoring.target, scoring.devices
    compiled = predict.compiled_predict(scoring.model, devices, compute_dtype(config.train.dtype))
    counts, median_box = _baselines(run, config)
    predictors = {
        "model": predict.model_predict(scoring.variables, compiled, devices),
        "whole_image": baselines.whole_image(counts),
        "median_box": baselines.median_box(counts, median_box),
    }
    found = predict.predict_rows(
        predictors, target.source, build.make_task(config.task), target.name, threads=config.data.threads,
        batch_size=mesh.round_up(config.eval.batch_size, devices), view=scoring.view,
    )  # fmt: skip
    if jax.process_index() == 0:
        shutil.rmtree(saved_steps.folder(run, target.name), ignore_errors=True)
    if "steps" in scoring.outputs:
        picked = scores.gallery_rows(_as_saved(found["model"]), STEPS_OF)
        why = {str(row["id"]): kind for kind in ("worst", "median", "best") for row in picked[kind]}
        _write_steps(scoring, why, dict(_places(target.source, why)))
    if jax.process_index() > 0:
        return
    skipped = pipeline.finite_size(target.source) - len(found["model"])
    own = {"model": {"outputs": sorted(scoring.outputs.difference(NOT_SCORED))}}
    for name, rows in found.items():
        if name == "model":
            _write_thumbnails(run, target.name, target.source, rows, config.eval.gallery)
        made_of = {**scoring.meta, **own.get(name, {}), "skipped": skipped, "command": command_line(), **commit()}
        write_rows(run.rows(target.name, name), rows, made_of)


def _as_saved(rows: Sequence[Row]) -> list[Row]:
    """Rows in the order that they are saved in: the gallery chooses among equals by position."""
    return sorted(rows, key=lambda row: str(row["id"]))


def _baselines(run: RunDir, config: ConfigDict) -> tuple[IntArray, FloatArray]:
    """Class counts and median box of the training split; looked through again only where its data has changed."""
    source = build.make_source(config.data, "train", config.seed)
    known = run.read(run.baselines) if run.baselines.is_file() else {}
    if known.get("data") != source.fingerprint:
        known_truths = (truth for truth in summaries.truths(source, pipeline.sample(source)) if truth is not None)
        counts, box = baselines.training_summary(known_truths, len(source.info.classes))
        known = {"data": source.fingerprint, "class_counts": counts.tolist(), "median_box": [float(edge) for edge in box]}
        if jax.process_index() == 0:
            files.write_json(run.baselines, known)
    return np.asarray(known["class_counts"]), np.asarray(known["median_box"])


def _write_thumbnails(run: RunDir, name: str, source: Source, rows: Sequence[Row], count: int) -> None:
    """Pictures of the rows that the gallery shows, by id."""
    shutil.rmtree(run.thumbnails(name), ignore_errors=True)
    chosen = {row["id"] for picked in scores.gallery_rows(_as_saved(rows), count).values() for row in picked}
    if len(rows) == pipeline.finite_size(source):
        indices = [index for index, row in enumerate(rows) if row["id"] in chosen]
    else:  # some have no row: their places tell nothing
        indices = list(range(pipeline.finite_size(source)))
    for example in pipeline.readable(source, indices, (draw.THUMBNAIL, draw.THUMBNAIL)):
        if example.id in chosen:
            files.write_bytes(run.thumbnail(name, example.id), draw.thumbnail(example.image_hxwxc))


def _chosen(scoring: _Scoring, ids: Sequence[str]) -> dict[str, int]:
    """The places of the examples whose steps a user asks for. Raises UserError where there are none such, or the model has no steps."""
    if "steps" not in scoring.outputs:
        name = scoring.config.model.name
        possible = "one that reads forward and says one class, see README, Step by step"
        raise UserError(f"model '{name}' of this run has no output 'steps'; possible: {possible}")
    if len(ids) > MOST_STEPS:
        raise UserError(f"--steps names {len(ids)} examples; possible: up to {MOST_STEPS}")
    known: list[str] = []
    found = dict(_places(scoring.target.source, ids, known))
    for wanted in ids:
        if wanted not in found:
            near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"possible: such as {known[0]!r}"
            raise UserError(f"no example '{wanted}' in split '{scoring.target.name}' (--steps); {hint}")
    return found


def _places(source: Source, ids: Collection[str], known: list[str] | None = None) -> Iterator[tuple[str, int]]:
    """(id, index) of the examples with these ids; all ids that are looked at on the way are added to `known`."""
    missing = set(ids)
    for index in range(pipeline.finite_size(source)):
        if not missing:
            return
        with contextlib.suppress(UnreadableImage):
            own = (source.known(index) if isinstance(source, TruthKnown) else source[index]).id
            if known is not None:
                known.append(own)
            if own in missing:
                missing.remove(own)
                yield own, index


def _write_steps(scoring: _Scoring, why: Mapping[str, str], places: Mapping[str, int]) -> None:
    """Save what the model would say of some examples after each step of reading them.

    Where that is no number, the gallery's examples go without, which is told; raises UserError for one that was asked for.
    """
    source, dtype = scoring.target.source, compute_dtype(scoring.config.train.dtype)
    examples = list(pipeline.readable(source, places.values(), scoring.view.size))
    if not examples:  # none can be decoded, which has been told
        return
    compiled = predict.compiled_steps(scoring.model, scoring.devices, dtype)
    found = predict.steps_of(compiled, scoring.variables, scoring.devices, examples, scoring.view)
    for example, (steps, content_4) in zip(examples, found, strict=True):
        try:
            saved = saved_steps.summarized(example.id, why[example.id], steps, content_4, example.label)
        except UserError as error:
            if why[example.id] == "chosen":
                raise
            if jax.process_index() == 0:
                sys.stderr.write(f"imgloc: {error}; they are left out of the report\n")
            continue
        if jax.process_index() == 0:
            saved_steps.write(scoring.run, scoring.target.name, saved, draw.thumbnail(example.image_hxwxc), scoring.meta)
