"""Opens data sets that TFDS has prepared and resolves split expressions, without TensorFlow."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgloc.data.annotated.annotations import Fault
from imgloc.data.prepared.fields import TABLE, known_fields
from imgloc.errors import UserError, one_line, printable

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

EVEN = re.compile(r"\s*even_splits\(\s*['\"]?(?P<split>[^,'\"]+)['\"]?\s*,\s*(?:n=)?(?P<count>\d+)\s*\)\[(?P<index>\d+)\]\s*")
PLUS = re.compile(r"\+(?![^()]*\))")  # outside parentheses
FEATURE_CLASS = re.compile(r"tensorflow_datasets\.core\.features\.[a-z_]+\.[A-Z][A-Za-z]+")
MAX_FEATURE_FILES = 1000
MAX_DIGITS = 4  # of the number of even splits


@dataclass(frozen=True)
class Part:
    """A range of records of one file."""

    file: str
    start: int  # index in the file
    stop: int
    split: str  # the name of TFDS's split
    place: int  # index of the first record in that split
    before: int  # number of the source's records before this part


def open_prepared(name: str, folder: str) -> tfds.core.DatasetBuilder:
    """The TFDS builder of a data set that is prepared as array_record in `folder` (data_dir; empty for TFDS's default).

    Raises UserError with the command that prepares the data set if it is missing.
    """
    import tensorflow_datasets as tfds

    if not name:
        raise UserError(f"data.options.name is empty; choose a data set of TFDS, such as {', '.join(sorted(TABLE))}")
    check_feature_classes(name, data_dir(folder) or os.path.expanduser(default_folder()))
    try:
        builder = tfds.core.read_only_builder.builder_from_files(name, data_dir=data_dir(folder), file_format="array_record")
    except Exception as error:  # TFDS raises many types
        why = "" if isinstance(error, tfds.core.registered.DatasetNotFoundError) else f" ({one_line(error, lines=1)[:200]})"
        similar = difflib.get_close_matches(name, TABLE, n=1, cutoff=0.7) if known_fields(name) is None else []
        hint = f"did you mean '{similar[0]}'? Otherwise " if similar else ""
        raise UserError(f"{_absent(name, folder)}{why}; {hint}{how_to_prepare(name, folder)}") from error
    if not builder.info.splits:
        raise UserError(f"{_absent(name, folder)}: the data there has no splits; {how_to_prepare(name, folder)}")
    return builder


def check_feature_classes(name: str, folder: str) -> None:
    """Raises UserError for a prepared data set whose features.json names a class that is not one of TFDS's features.

    TFDS imports the class by its name, and a data set from elsewhere may name any module.
    """
    below = Path(folder) / name.rpartition(":")[2].split("/")[0]
    found = [Path(path) / "features.json" for path, _, names in os.walk(below, followlinks=True) if "features.json" in names]
    for path in sorted(found[:MAX_FEATURE_FILES]):
        try:
            named = list(_class_names(json.loads(path.read_text())))
        except (OSError, ValueError, RecursionError) as error:
            raise UserError(f"cannot read '{path}': {one_line(error)}; prepare the data set again") from error
        for class_name in named:
            if not FEATURE_CLASS.fullmatch(class_name):
                raise UserError(f"'{path}' names the class {printable(class_name)!r}, which is not a feature of TFDS; it is not imported")


def _class_names(value: object) -> Iterator[str]:
    """Yields every class that a value names, also in JSON that it holds as text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        value = json.loads(value)
    if isinstance(value, dict):
        yield from (str(value[key]) for key in ("pythonClassName", "python_class_name", "type") if isinstance(value.get(key), str))
        for item in value.values():
            yield from _class_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _class_names(item)


def _absent(name: str, folder: str) -> str:
    return f"TFDS has no prepared {name} (array_record) in {folder or default_folder()}"


def default_folder() -> str:
    """TFDS's default data_dir."""
    return os.environ.get("TFDS_DATA_DIR") or os.path.join("~", "tensorflow_datasets")


def data_dir(folder: str) -> str | None:
    """The folder as TFDS expects it: `~` expanded, None for the default."""
    return os.path.expanduser(folder) or None


def how_to_prepare(name: str, folder: str) -> str:
    """The command that prepares a data set, and its requirements."""
    known = known_fields(name)
    command = f"imgloc data prepare {name}" + (f" --folder {folder}" if folder else "")
    requires = "; TFDS's builder may require tensorflow, reading does not"
    if known is not None:
        requires = "; TFDS's builder requires tensorflow, reading does not" if known.tensorflow else ""
    return f"prepare it with: {command}{requires}" + (f"; {known.note}" if known is not None and known.note else "")


def split_parts(builder: tfds.core.DatasetBuilder, expression: str) -> tuple[Part, ...]:
    """The records of a split expression, in order. Raises UserError if the expression is invalid or has no records."""
    import tensorflow_datasets as tfds

    splits = builder.info.splits
    try:
        spec: Any = None
        for term in PLUS.split(expression):
            if match := EVEN.fullmatch(term):
                if len(match["count"]) > MAX_DIGITS:
                    raise ValueError("too many parts")  # TFDS would create all of them
                summand = tfds.even_splits(match["split"].strip(), int(match["count"]))[int(match["index"])]
            else:
                summand = tfds.core.splits.AbstractSplit.from_spec(term.strip())
            spec = summand if spec is None else spec + summand
        instructions = splits[spec].file_instructions
    except Exception as error:  # TFDS raises many types
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
        raise UserError(f"'{expression}' of {builder.name} has no examples")
    return tuple(parts)


def overlapping_splits(builder: tfds.core.DatasetBuilder, expressions: Mapping[str, str]) -> list[Fault]:
    """Faults for records that are in two splits, or twice in one, given the expression of each split; invalid ones are skipped."""
    faults: list[Fault] = []
    seen: list[tuple[str, Part]] = []
    for split, expression in expressions.items():
        try:
            parts = split_parts(builder, expression)
        except UserError:  # reported when that split is opened
            continue
        common: Counter[str] = Counter()
        for part in parts:
            for other, before in seen:
                if part.file == before.file:
                    common[other] += max(0, min(part.stop, before.stop) - max(part.start, before.start))
            seen.append((split, part))
        for other, count in (+common).items():
            where = "included twice" if other == split else f"also in {other} ({expressions[other]})"
            kind = "repeated_image" if other == split else "duplicate_image"
            faults.append(Fault(kind, f"{split} ({expression})", f"{count:,} of its examples are {where}"))
    return faults
