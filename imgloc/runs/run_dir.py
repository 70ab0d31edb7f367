"""The run folder: its files, its state (new, unfinished or finished), and its lock.

config.json       every value of the config; its fingerprint identifies the run
provenance.json   commit, package versions, devices, commands, wall times, fingerprints of the data
data.json         classes and image channels;  groups.npy  hashes of the groups that it is trained or selected on
metrics.jsonl     training losses and validation metrics;  events/ the same for TensorBoard
loggers.json      the identity of the run for the loggers of its config, such as Weights & Biases
checkpoints/      the last training states, by step
model/            the best model;  last_model/ the last one, where it is not the best
not_finite/       the batch of the step at which the loss became NaN or infinite
finished.json     written when training has finished: last and best step
rows/             a table of per-example rows for each split and predictor
thumbnails/       images of the gallery;  score_maps/ their score maps, 0 to 255, for tasks with score maps
partial_predictions/  answers after each step of reading;  film_strips/ frames of videos;  profile/ a trace
baselines.json    what the baselines learn from the training split, and its fingerprint
results.json      metrics with intervals;  explanations.json  those of explanations by split
report.html       exports/ predictions in formats of other tools
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ml_collections import ConfigDict

from imgloc import files
from imgloc.config import schema as configs
from imgloc.config.saved import check_imports
from imgloc.errors import UserError, one_line, storage_message

RESTORE = "restore it from a copy, or train the run again"
MAX_NAME_LENGTH = 200  # characters of the file name of a thumbnail; file systems accept 255 bytes


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
    def groups(self) -> Path:
        return self.path / "groups.npy"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def loggers(self) -> Path:
        return self.path / "loggers.json"

    @property
    def events(self) -> Path:
        return self.path / "events"

    @property
    def profile(self) -> Path:
        return self.path / "profile"

    @property
    def checkpoints(self) -> Path:
        return self.path.absolute() / "checkpoints"  # Orbax requires absolute paths

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

    @property
    def explanations(self) -> Path:
        return self.path / "explanations.json"

    @property
    def results_lock(self) -> Path:
        return self.path / ".results.lock"

    def read(self, path: Path) -> dict[str, Any]:
        """Return a JSON object of this folder. Raises UserError where the file is missing or damaged."""
        try:
            values = files.read_json(path)
        except FileNotFoundError as error:
            raise UserError(f"cannot read '{path}': there is no such file; {RESTORE}") from error
        except OSError as error:
            raise UserError(storage_message(OSError(error.errno, error.strerror, str(path)))) from error
        except ValueError as error:
            why = "the file is empty" if path.stat().st_size == 0 else f"it is not JSON ({one_line(error)})"
            raise UserError(f"cannot read '{path}': {why}; {RESTORE}") from error
        if not isinstance(values, dict):
            raise UserError(f"'{path}' must contain a JSON object, got {type(values).__name__}")
        return values

    def evaluate_command(self, name: str) -> str:
        """The command that writes the rows of a name: SPLIT, SPLIT@last, SPLIT@FILE of an exported model, or --name of other data."""
        split, _, which = name.partition("@")
        options = "" if split == "test" else f" --split {split}" if split in ("train", "validation") else f" --name {split} ..."
        return f"imgloc evaluate {self.path}{options}" + {"": "", "last": " --checkpoint last"}.get(which, " --predictor FILE")

    def known_results(self) -> dict[str, Any]:
        """Return the valid entries of results.json; {} where it is missing or damaged, because it can be computed again from rows."""
        with contextlib.suppress(UserError):
            return {name: metrics for name, metrics in self.read(self.results).items() if _has_means(metrics)}
        return {}

    def rows(self, split: str, predictor: str = "model") -> Path:
        return self.path / "rows" / (f"{split}.jsonl" if predictor == "model" else f"{split}.{predictor}.jsonl")

    def exports(self, split: str, form: str) -> Path:
        return self.path / "exports" / split / form

    def film_strip(self, split: str, example_id: str) -> Path:
        return self.path / "film_strips" / split / self.thumbnail(split, example_id).with_suffix(".webp").name

    def thumbnails(self, split: str) -> Path:
        return self.path / "thumbnails" / split

    def score_maps(self, split: str) -> Path:
        return self.path / "score_maps" / split

    def score_map(self, split: str, example_id: str) -> Path:
        return self.score_maps(split) / self.thumbnail(split, example_id).name

    def thumbnail(self, split: str, example_id: str) -> Path:
        name = urllib.parse.quote(example_id, safe="")  # may be long: a quoted letter can have six characters
        short = name if len(name) <= MAX_NAME_LENGTH else f"{name[: MAX_NAME_LENGTH - 17]}-{files.fingerprint(example_id)}"
        return self.thumbnails(split) / f"{short}.png"


def _has_means(metrics: object) -> bool:
    return isinstance(metrics, dict) and all(isinstance(value, dict) and "mean" in value for value in metrics.values())


def open_run(path: str) -> tuple[RunDir, ConfigDict]:
    """Return an existing run folder and its config. Raises UserError where there is none, or where it is of another version."""
    run = RunDir(Path(path))
    _check_name(run)
    if not run.config.is_file():
        problem = "it has no config.json" if run.path.is_dir() else "there is no such folder"
        raise UserError(f"'{path}' is not a run folder: {problem}; possible: a --workdir that imgloc train has written")
    config = configs.from_json(run.read(run.config))
    try:
        configs.check_keys(config)
        configs.check_ranges(config)
    except UserError as error:
        raise UserError(f"'{run.config}' was written by another version of imgloc: {error}; use that version, or train again") from error
    check_config_unchanged(run)
    check_imports(configs.to_json(config), str(run.config))
    return run, config


def check_config_unchanged(run: RunDir) -> None:
    """Raise UserError where config.json is not the one that the run began with."""
    recorded = run.read(run.provenance).get("config")
    now = files.fingerprint(configs.identity(run.read(run.config)))
    if recorded != now:
        raise UserError(f"'{run.config}' was changed after the run began (fingerprint {recorded}, now {now}); restore it, or train again")


def refuse_links(run: RunDir) -> None:
    """Raise UserError where a run folder contains a symbolic link, through which files elsewhere would be written."""
    for folder, folders, names in os.walk(run.path):
        for entry in (Path(folder) / name for name in sorted((*folders, *names))):
            if entry.is_symlink():
                raise UserError(f"'{entry}' is a symbolic link; nothing is written through links in a run folder; replace it by its target")


def run_state(run: RunDir, config: ConfigDict) -> Literal["new", "unfinished", "finished"]:
    """Return the state of a run. Raises UserError where the folder contains another run or other files."""
    _check_name(run)
    if not run.path.exists():
        return _new(run)
    if not run.path.is_dir():
        raise UserError(f"'{run.path}' is a file; --workdir must be a folder")
    if not run.config.is_file():
        if not all(_is_of_begun_run(path.name) for path in run.path.iterdir()):
            raise UserError(f"'{run.path}' contains other files and no run; choose a new or empty folder for --workdir")
        return _new(run)
    current, stored = (configs.identity(values) for values in (configs.to_json(config), run.read(run.config)))
    if current != stored:
        key, here, there = _first_difference(current, stored)
        raise UserError(
            f"'{run.path}' contains a run of another config: {key} is {there!r} in that run and {here!r} in this command; "
            "choose another --workdir, or remove that folder"
        )
    check_config_unchanged(run)
    if not run.finished.is_file():
        return "unfinished"
    run.read(run.finished)
    return "finished"


def _new(run: RunDir) -> Literal["new"]:
    """Raise UserError where a new run would be inside the folder of another one."""
    for folder in run.path.absolute().parents:
        outer = RunDir(folder)
        if os.path.isfile(outer.config) and os.path.isfile(outer.provenance):
            raise UserError(f"'{run.path}' is inside the run folder '{folder}'; choose another --workdir")
    return "new"


def _check_name(run: RunDir) -> None:
    """Raise UserError for a path that is not UTF-8, which neither Orbax nor a report accepts."""
    try:
        str(run.path.absolute()).encode()
    except UnicodeEncodeError:
        raise UserError(f"'{run.path}' is not UTF-8; rename the run folder or the folders above it") from None


def _is_of_begun_run(name: str) -> bool:
    """Return whether a run that was killed before it had written config.json may have left this file."""
    return name in ("data.json", "groups.npy", "provenance.json", ".lock") or (name.startswith(".") and name.endswith(".tmp"))


@contextlib.contextmanager
def lock_run(run: RunDir) -> Iterator[None]:
    """Lock a run folder while training. Raises UserError where another process holds the lock."""
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        refuse_links(run)
        file = files.open_lock(run.path / ".lock")
    except OSError as error:
        raise UserError(f"--workdir: {storage_message(error)}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is training in '{run.path}'; wait until it has ended, or choose another --workdir") from None
        yield


def _first_difference(first: Mapping[str, object], second: Mapping[str, object], prefix: str = "") -> tuple[str, object, object]:
    """Return the dotted key and both values of the first difference of two configs that differ."""
    for key in sorted({*first, *second}):
        a, b = first.get(key, "(absent)"), second.get(key, "(absent)")
        if a != b:
            if isinstance(a, dict) and isinstance(b, dict):
                return _first_difference(a, b, f"{prefix}{key}.")
            return prefix + key, a, b
    raise ValueError("no difference")
