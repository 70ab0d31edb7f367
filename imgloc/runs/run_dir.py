"""What lies where in a run folder, whether it is new, unfinished or finished, and where it came from.

config.json       every value the run was made with; its fingerprint is the run's identity
provenance.json   commit, package versions, devices, command, wall time, data fingerprint
data.json         classes and image channels: what prediction needs to know of the data; data of warm-start donors
metrics.jsonl     loss and validation curves;  events/ the same for TensorBoard
checkpoints/      best and last, by step
not_finite/       the batch of the step at which the loss stopped being a number, if it did
finished.json     there when training is done: last and best step
rows/             one table of per-example rows a split;  thumbnails/ pictures for the gallery;  steps/ answers as they form
baselines.json    class counts and median box of the training split, and its data fingerprint
results.json      metrics with intervals;  report.html
"""

from __future__ import annotations

import contextlib
import fcntl
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import schema as configs
from imgloc.errors import UserError, of_storage, one_line

LONGEST_NAME = 200  # characters of a picture's file name; file systems take 255 bytes


@dataclass(frozen=True)
class RunDir:
    """The paths of a run folder."""

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def provenance(self) -> Path:
        return self.path / "provenance.json"

    @property
    def data(self) -> Path:
        return self.path / "data.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def events(self) -> Path:
        return self.path / "events"

    @property
    def profile(self) -> Path:
        return self.path / "profile"

    @property
    def checkpoints(self) -> Path:
        return self.path.absolute() / "checkpoints"  # Orbax takes absolute paths only

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def last_model(self) -> Path:
        return self.path / "last_model"

    def not_finite(self, step: int) -> Path:
        return self.path / "not_finite" / f"step_{step:06d}.npz"

    @property
    def finished(self) -> Path:
        return self.path / "finished.json"

    @property
    def baselines(self) -> Path:
        return self.path / "baselines.json"

    @property
    def results(self) -> Path:
        return self.path / "results.json"

    def read(self, path: Path) -> dict[str, Any]:
        """A JSON object of this folder. Raises UserError where it is missing or broken."""
        try:
            values = files.read_json(path)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read '{path}': {one_line(error)}") from error
        if not isinstance(values, dict):
            raise UserError(f"'{path}' holds no JSON object; got {type(values).__name__}")
        return values

    def known_results(self) -> dict[str, Any]:
        """What results.json holds; nothing where it is absent or damaged: it is made of rows, and made again."""
        with contextlib.suppress(UserError):
            return {name: found for name, found in self.read(self.results).items() if _is_scored(found)}
        return {}

    def rows(self, split: str, predictor: str = "model") -> Path:
        return self.path / "rows" / (f"{split}.jsonl" if predictor == "model" else f"{split}.{predictor}.jsonl")

    def thumbnails(self, split: str) -> Path:
        return self.path / "thumbnails" / split

    def thumbnail(self, split: str, example_id: str) -> Path:
        name = urllib.parse.quote(example_id, safe="")  # of a path, long: a letter may have six characters
        short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 17]}-{files.fingerprint(example_id)}"
        return self.thumbnails(split) / f"{short}.png"


def _is_scored(found: Any) -> bool:
    """Whether it is what results.json holds of a split: metrics with their means."""
    return isinstance(found, dict) and all(isinstance(value, dict) and "mean" in value for value in found.values())


def open_run(path: str) -> tuple[RunDir, ConfigDict]:
    """A run folder that training has made, and its config. Raises UserError where there is none."""
    run = RunDir(Path(path))
    _check_name(run)
    if not run.config.is_file():
        reason = "it has no config.json" if run.path.is_dir() else "there is no such folder"
        raise UserError(f"'{path}' is not a run folder: {reason}; possible: a --workdir that imgloc train has written")
    config = configs.from_json(run.read(run.config))
    try:
        configs.check_keys(config)
        configs.check_ranges(config)
    except UserError as error:
        raise UserError(f"'{run.config}' is not of this version of imgloc: {error}") from error
    return run, config


def donors(config: ConfigDict, begun: RunDir | None = None) -> list[dict[str, Any]]:
    """Data and seed of each run that a config is warm-started from, those behind it included.

    A run that has begun keeps them in data.json: what it has seen must be known when the donor's folder has moved.
    """
    if begun is not None and begun.config.is_file():
        kept: list[dict[str, Any]] | None = begun.read(begun.data).get("donors")
        if kept is not None:
            return kept
    if not config.train.init_from:
        return []
    run, theirs = open_run(config.train.init_from)
    behind = run.read(run.data).get("donors", []) if run.data.is_file() else []
    return [{"data": configs.to_json(theirs)["data"], "seed": theirs.seed}, *behind]


def state(run: RunDir, config: ConfigDict) -> str:
    """'new', 'unfinished' or 'finished'. Raises UserError where the folder holds something else."""
    _check_name(run)
    if not run.path.exists():
        return "new"
    if not run.path.is_dir():
        raise UserError(f"'{run.path}' is a file; --workdir wants a folder")
    if not run.config.is_file():
        if any(not _begun(path.name) for path in run.path.iterdir()):
            raise UserError(f"'{run.path}' holds other files and no run; choose a new or empty folder for --workdir")
        return "new"
    mine, theirs = (configs.identity(values) for values in (configs.to_json(config), run.read(run.config)))
    if mine != theirs:
        key, ours, stored = _first_difference(mine, theirs)
        raise UserError(
            f"'{run.path}' holds a run of another config: {key} is {stored!r} there and {ours!r} here; "
            "choose another --workdir, or remove that folder"
        )
    return "finished" if run.finished.is_file() else "unfinished"


def _check_name(run: RunDir) -> None:
    """Refuse a folder whose name is no text: Orbax takes none, nor does a report."""
    try:
        str(run.path.absolute()).encode()
    except UnicodeEncodeError:
        raise UserError(f"'{run.path}' is not UTF-8; choose another name for the run folder, and for those that it lies in") from None


def _begun(name: str) -> bool:
    """Whether a file is what a run that was killed while it began leaves behind."""
    return name in ("data.json", "provenance.json", ".lock") or (name.startswith(".") and name.endswith(".tmp"))


@contextlib.contextmanager
def locked(run: RunDir) -> Iterator[None]:
    """Hold a run folder for one training at a time. Raises UserError where another process trains in it."""
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        file = (run.path / ".lock").open("w")
    except OSError as error:
        raise UserError(f"--workdir: {of_storage(error)}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is training in '{run.path}'; wait for it, or choose another --workdir") from None
        yield


def _first_difference(mine: Any, theirs: Any, prefix: str = "") -> tuple[str, Any, Any]:
    for key in sorted({*mine, *theirs}):
        a, b = mine.get(key, "(absent)"), theirs.get(key, "(absent)")
        if a != b:
            if isinstance(a, dict) and isinstance(b, dict):
                return _first_difference(a, b, f"{prefix}{key}.")
            return prefix + key, a, b
    raise ValueError("no difference")
