"""What evaluation keeps of single examples: images for the gallery, and partial predictions."""

from __future__ import annotations

import contextlib
import difflib
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import jax

from imgloc import draw, files
from imgloc.data.batches import pipeline
from imgloc.data.batches.collate import resize_example
from imgloc.errors import UnreadableImage, UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.target import Target
from imgloc.inference.load import TrainedModel
from imgloc.inference.outputs import check_has_partial_predictions
from imgloc.inference.predict import compiled_partial_predictions, partial_predictions
from imgloc.inference.score_maps import Shown, score_map_predictor
from imgloc.runs import partial_predictions as saved
from imgloc.runs.film_strips import PER_KIND, film_strip
from imgloc.runs.run_dir import RunDir
from imgloc.score_maps.levels import as_levels
from imgloc.types import Example, Row, Source, TruthKnown

PARTIAL_PER_KIND = 2  # of the best, the median and the worst examples: those whose partial predictions are saved
MAX_CHOSEN = 24  # examples whose partial predictions a user can ask for at once


def write_gallery(
    run: RunDir,
    target: Target,
    trained: TrainedModel,
    meta: Mapping[str, Any],
    outputs: Collection[str],
    rows: Sequence[Row],
    count: int,
) -> None:
    """Write the images of the rows that the gallery shows, their score maps, and the partial predictions of a few of them."""
    ordered = sorted(rows, key=lambda row: str(row["id"]))  # as they are saved: the gallery chooses among equals by position
    if jax.process_index() == 0:
        shutil.rmtree(saved.folder(run, target.name), ignore_errors=True)
    if "partial_predictions" in outputs:
        picked = scoring.gallery_rows(ordered, trained.task, PARTIAL_PER_KIND)
        why = {str(row["id"]): kind for kind in ("worst", "median", "best") for row in picked[kind]}
        write_partial_predictions(run, target, trained, meta, why, dict(_indices(target.source, why)))
    films = {row["id"] for picked in scoring.gallery_rows(ordered, trained.task, PER_KIND).values() for row in picked}
    chosen = films | {row["id"] for picked in scoring.gallery_rows(ordered, trained.task, count).values() for row in picked}
    size = pipeline.finite_size(target.source)
    # Where some examples have no row, the position of a row is not the index of its example.
    indices = [index for index, row in enumerate(rows) if row["id"] in chosen] if len(rows) == size else range(size)
    maps_of = score_map_predictor(trained)
    if jax.process_index() > 0 and maps_of is None:
        return
    if jax.process_index() == 0:
        for folder in (run.thumbnails(target.name), run.score_maps(target.name), run.film_strip(target.name, "").parent):
            shutil.rmtree(folder, ignore_errors=True)
    height, width = (draw.THUMBNAIL if maps_of is None else max(draw.THUMBNAIL, side) for side in trained.spec.size)
    for example in pipeline.readable_examples(target.source, indices, (height, width)):
        if example.id not in chosen:
            continue
        map_hxw = None if maps_of is None else maps_of([_shown(example, trained)])[0]
        if jax.process_index() == 0:
            files.write_bytes(run.thumbnail(target.name, example.id), draw.thumbnail_png(example.image_hxwxc))
            if example.frames_txhxwxc is not None and example.id in films:
                files.write_bytes(run.film_strip(target.name, example.id), film_strip(example.frames_txhxwxc))
            if map_hxw is not None:
                files.write_bytes(run.score_map(target.name, example.id), draw.thumbnail_png(as_levels(map_hxw)[..., None]))


def _shown(example: Example, trained: TrainedModel) -> Shown:
    seen, content_4 = resize_example(example, trained.spec)
    return Shown(seen.image_hxwxc, content_4)


def find(target: Target, outputs: Collection[str], model: str, ids: Sequence[str]) -> dict[str, int]:
    """The indices of the examples with these ids.

    Raises UserError where there are none, or where the model has no partial predictions.
    """
    check_has_partial_predictions(outputs, model)
    if len(ids) > MAX_CHOSEN:
        raise UserError(f"--partial-predictions names {len(ids)} examples; possible: up to {MAX_CHOSEN}")
    known: list[str] = []
    chosen = dict(_indices(target.source, ids, known))
    for missing in (name for name in ids if name not in chosen):
        near = difflib.get_close_matches(missing, known, n=3, cutoff=0.5)
        hint = (
            f"did you mean {' or '.join(map(repr, near))}?"
            if near
            else f"an example is {known[0]!r}"
            if known
            else "no image of the split can be decoded; run imgloc data check"
        )
        raise UserError(f"no example '{missing}' in split '{target.name}' (--partial-predictions); {hint}")
    return chosen


def _indices(source: Source, ids: Collection[str], known: list[str] | None = None) -> Iterator[tuple[str, int]]:
    """(id, index) of the examples with these ids; every id that is read on the way is added to `known`."""
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


def write_partial_predictions(
    run: RunDir, target: Target, trained: TrainedModel, meta: Mapping[str, Any], why: Mapping[str, str], indices: Mapping[str, int]
) -> None:
    """Save the partial predictions of some examples.

    Where one contains NaN or infinity, an example of the gallery is left out with a line on stderr; raises UserError for an example
    that the user chose.
    """
    examples = list(pipeline.readable_examples(target.source, indices.values(), trained.spec.size))
    if not examples:  # none can be decoded; the pipeline has printed that
        return
    compiled = compiled_partial_predictions(trained.module, trained.devices, trained.dtype)
    every = partial_predictions(compiled, trained.task, trained.variables, trained.devices, examples, trained.spec)
    least = trained.task.calibration.get("score_threshold", 0.0)
    for example, (partial, content_4) in zip(examples, every, strict=True):
        try:
            summary = saved.summarize(example.id, why[example.id], partial, content_4, example.label, least_score=least)
        except UserError as error:
            if why[example.id] == "chosen":
                raise
            if jax.process_index() == 0:
                sys.stderr.write(f"imgloc: {error}; they are left out of the report\n")
            continue
        if jax.process_index() == 0:
            saved.write(run, target.name, summary, draw.thumbnail_png(example.image_hxwxc), meta)
