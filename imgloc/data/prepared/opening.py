"""Finding what TFDS has prepared, and what a split expression stands for, without TensorFlow."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgloc.data.annotated.annotations import Fault
from imgloc.data.prepared.fields import TABLE, fields_in_table
from imgloc.errors import UserError, one_line

EVEN = re.compile(r"\s*even_splits\(\s*['\"]?(?P<split>[^,'\"]+)['\"]?\s*,\s*(?:n=)?(?P<count>\d+)\s*\)\[(?P<index>\d+)\]\s*")

MOST_DIGITS = 4  # of the number of even splits


@dataclass(frozen=True)
class Part:
    """Some records of one file, one after another."""

    file: str
    start: int  # in the file
    stop: int
    split: str  # TFDS's
    place: int  # of the first of them in that split
    before: int  # how many of the source's records come before


def open_prepared(name: str, folder: str) -> Any:
    """TFDS's builder of a data set that lies prepared under `folder` (its data_dir; "" for TFDS's default) as array_record.

    Raises UserError, with the command that prepares it, where there is none.
    """
    import tensorflow_datasets as tfds

    if not name:
        raise UserError(f"data.options.name is empty; possible: any data set of TFDS, such as {', '.join(sorted(TABLE))}")
    try:
        builder = tfds.core.read_only_builder.builder_from_files(name, data_dir=data_dir(folder), file_format="array_record")
    except Exception as error:  # TFDS raises a type of its own for each reason that data is not there
        why = "" if isinstance(error, tfds.core.registered.DatasetNotFoundError) else f" ({one_line(error, lines=1)[:200]})"
        near = difflib.get_close_matches(name, TABLE, n=1, cutoff=0.7) if fields_in_table(name) is None else []
        hint = f"did you mean '{near[0]}'? else " if near else ""
        raise UserError(f"{_absent(name, folder)}{why}; {hint}{how_to_prepare(name, folder)}") from error
    if not builder.info.splits:
        raise UserError(f"{_absent(name, folder)}: what lies there has no splits; {how_to_prepare(name, folder)}")
    return builder


def _absent(name: str, folder: str) -> str:
    return f"TFDS has no prepared {name} (array_record) in {folder or default_folder()}"


def default_folder() -> str:
    """Where TFDS looks for data sets when it is told no folder."""
    return os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")


def data_dir(folder: str) -> str | None:
    """A folder as TFDS takes it, which knows nothing of `~`; None for its default."""
    return os.path.expanduser(folder) or None


def how_to_prepare(name: str, folder: str) -> str:
    """The command that prepares a data set, and what it wants."""
    known = fields_in_table(name)
    command = f"imgloc data prepare {name}" + (f" --folder {folder}" if folder else "")
    wants = "" if known is not None and not known.tensorflow else "; TFDS's builder may want tensorflow to be installed for that"
    if known is not None and known.tensorflow:
        wants = "; TFDS's builder wants tensorflow to be installed for that, reading does not"
    return f"prepare it with: {command}{wants}" + (f"; {known.note}" if known is not None and known.note else "")


def parts_of(builder: Any, expression: str) -> tuple[Part, ...]:
    """The records that a split expression stands for, in order. Raises UserError where it stands for none."""
    import tensorflow_datasets as tfds

    splits = builder.info.splits
    try:
        spec: Any = None
        for term in _terms(expression):
            found = EVEN.fullmatch(term)
            if found:
                if len(found["count"]) > MOST_DIGITS:
                    raise ValueError("too many parts")  # TFDS makes them all
                one = tfds.even_splits(found["split"].strip(), int(found["count"]))[int(found["index"])]
            else:
                one = tfds.core.splits.AbstractSplit.from_spec(term.strip())
            spec = one if spec is None else spec + one
        instructions = splits[spec].file_instructions
    except Exception as error:  # whatever TFDS raises for what it cannot read
        first = next(iter(splits))
        possible = f"possible: {', '.join(splits)}, parts such as {first}[:90%], sums with +, even_splits({first}, 3)[0]"
        raise UserError(f"{builder.name} has no split '{expression}' ({one_line(error, lines=1)[:100]}); {possible}") from error
    firsts = {
        os.path.basename(path): (split, sum(info.shard_lengths[:i]))
        for split, info in splits.items()
        for i, path in enumerate(info.filenames)
    }
    parts, before = [], 0
    for instruction in instructions:
        if instruction.take <= 0:  # train[5:2]
            continue
        split, first = firsts[os.path.basename(instruction.filename)]
        stop = instruction.skip + instruction.take
        parts.append(Part(os.fspath(instruction.filename), instruction.skip, stop, split, first + instruction.skip, before))
        before += instruction.take
    if not parts:
        raise UserError(f"'{expression}' of {builder.name} holds no examples")
    return tuple(parts)


def shared_records(builder: Any, said: Mapping[str, str]) -> list[Fault]:
    """Where records are in two of our splits, or twice in one, by their expressions; one that stands for nothing is passed over."""
    found: list[Fault] = []
    seen: list[tuple[str, Part]] = []
    for split, expression in said.items():
        try:
            parts = parts_of(builder, expression)
        except UserError:  # told where that split is wanted
            continue
        common: Counter[str] = Counter()
        for part in parts:
            for other, before in seen:
                if part.file == before.file:
                    common[other] += max(0, min(part.stop, before.stop) - max(part.start, before.start))
            seen.append((split, part))
        for other, count in (+common).items():
            what = "there twice" if other == split else f"in {other} ({said[other]}) too"
            kind = "repeated_image" if other == split else "duplicate_image"
            found.append(Fault(kind, f"{split} ({expression})", f"{count:,} of its examples are {what}"))
    return found


def _terms(expression: str) -> list[str]:
    """A sum's terms: split at every + that is not inside parentheses."""
    terms, depth = [""], 0
    for character in expression:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "+" and depth == 0:
            terms.append("")
        else:
            terms[-1] += character
    return terms
