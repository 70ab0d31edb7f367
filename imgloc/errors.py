"""Errors of the user, and one-line messages for the errors of others."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """A mistake that the user can fix. Commands print its message, which is one line, and exit with code 2."""


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the program with one line on stderr and exit code 2 for a mistake of the user; for programs beside the package."""
    try:
        yield
    except UserError as error:
        sys.stderr.write(f"{os.path.basename(sys.argv[0])}: {one_line(error)}\n")
        sys.exit(2)


class WorkerError(Exception):
    """A process that prepares batches has ended, such as by the operating system for lack of memory. The message is one line."""


class UnreadableImage(Exception):
    """An image of a data set that cannot be used. The message names the image and the reason; pipelines skip it with a warning.

    `kind` is one of the kinds of `imgloc.data.checks.faults`.
    """

    def __init__(self, message: str, *, kind: str = "unreadable_image") -> None:
        super().__init__(message)
        self.kind = kind


REMEDIES = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there: the quota is used up",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "choose a folder on a file system that is not read-only",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
}


def storage_message(error: OSError) -> str:
    """Return one line: what cannot be read or written, why, and what to do."""
    path = f"'{error.filename}'" if error.filename else "a file"
    denied = error.errno in (errno.EACCES, errno.EPERM) and bool(error.filename)
    if denied and os.path.isfile(error.filename) and not os.access(error.filename, os.R_OK):
        return f"cannot read {path}: {error.strerror}; its permissions do not let you read it"
    verb = "write" if error.errno in REMEDIES and error.errno != errno.EACCES else "use"
    remedy = REMEDIES.get(error.errno or 0)
    return f"cannot {verb} {path}: {error.strerror or one_line(error)}" + (f"; {remedy}" if remedy else "")


def storage_error(error: BaseException, path: str) -> OSError:
    """Return the OSError behind an error of a library that writes `path`, by an errno or by a message in the chain of errors."""
    chain = list(with_causes(error))
    numbers = [cause.errno for cause in chain if isinstance(cause, OSError) and cause.errno]
    numbers += [number for number in REMEDIES if any(os.strerror(number) in str(cause) for cause in chain)]
    if numbers:
        return OSError(numbers[0], os.strerror(numbers[0]), path)
    return OSError(f"{path}: {reason(error, lines=1)[:200]}")


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then the error that it was raised from or while handling, and so on."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def one_line(error: BaseException, *, lines: int | None = None) -> str:
    """Return the message of an error with each run of white space as one space; `lines` limits it to its first lines."""
    message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)  # str() of a KeyError is the repr
    return " ".join(" ".join(message.splitlines()[:lines]).split())


def is_printable(text: str) -> bool:
    """Return whether a terminal shows every character of a text as itself. Joiners (U+200C, U+200D) belong to words of some scripts."""
    return text.replace("\u200c", "").replace("\u200d", "").isprintable()


def printable(text: str) -> str:
    """Return a text for a terminal, with every character that is not printable escaped: control characters and lone surrogates."""
    return text if is_printable(text) else "".join(c if is_printable(c) else c.encode("unicode_escape").decode() for c in text)


def reason(error: BaseException, *, lines: int | None = None) -> str:
    """Return `Type: message` of an error of another library in one line; `lines` limits it to the first lines of the message."""
    return f"{type(error).__name__}: {one_line(error, lines=lines)}"


MAX_LISTED = 20  # possible names in a message; of more, only the nearest are listed
#: Names that other tools give to things, and the parts of names that they have here.
SYNONYMS = {
    "learning_rate": "lr", "learningrate": "lr", "lr0": "lr", "momentum": "b1", "wd": "weight_decay", "grad_clip": "clip_norm",
    "batch": "batch_size", "num_steps": "steps", "max_steps": "steps", "num_epochs": "epochs", "imgsz": "image_size",
    "img_size": "image_size", "input_size": "image_size", "optimizer": "optim", "num_workers": "workers", "dataset": "source",
    "detect": "locate", "predict": "locate", "infer": "locate", "inference": "locate", "fit": "train", "eval": "evaluate",
    "test": "evaluate", "val": "evaluate", "validate": "evaluate", "score": "evaluate", "detection": "localize",
}  # fmt: skip


def unknown(what: str, got: str, possible: Iterable[str]) -> UserError:
    """Return an error for a name that does not exist, with the closest possible name first."""
    names = sorted(possible)
    translated = ".".join(SYNONYMS.get(part, part) for part in got.split("."))
    nearest = closest(translated, names)
    hint = f"did you mean '{nearest}'? " if nearest else ""
    return UserError(f"unknown {what} '{got}'; {hint}possible: {nearest_names(translated, names) or 'none'}")


def nearest_names(got: str, possible: Iterable[str]) -> str:
    """Return the possible names for a message, in alphabetical order; of more than MAX_LISTED, the nearest one and then four near ones."""
    names = sorted(possible)
    if len(names) <= MAX_LISTED:
        return ", ".join(names)
    near = difflib.get_close_matches(got, names, n=5, cutoff=0.0)
    first = closest(got, names) or near[0]
    others = sorted([name for name in near if name != first][:4])
    return ", ".join([first, *others, f"... ({len(names)} in all)"])


def closest(got: str, names: Sequence[str]) -> str:
    """Return the name itself, the only name with the same last part, or the most similar name; "" if none is similar."""
    same_end = [name for name in names if name.rpartition(".")[2] == got.rpartition(".")[2]]
    if got in names:
        return got
    if len(same_end) == 1:
        return same_end[0]
    return next(iter(difflib.get_close_matches(got, names, n=1, cutoff=0.5)), "")


def as_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return names as a tuple; a single name is a text, not its letters."""
    return (names,) if isinstance(names, str) else tuple(names)


def listed(names: Sequence[str], most: int) -> str:
    """Return the first `most` names for a message, printable and separated by commas."""
    return ", ".join(map(printable, names[:most])) + (", ..." if len(names) > most else "")


def check_at_least(least: int, **numbers: int | tuple[int, ...]) -> None:
    """Raise UserError where a field of a model, or a number in it, is less than `least`."""
    for name, value in numbers.items():
        if min(value, default=least) < least if isinstance(value, tuple) else value < least:
            raise UserError(f"model.{name} is {value}; possible: at least {least}{' each' if isinstance(value, tuple) else ''}")


def look_up(what: str, name: str, possible: Mapping[str, T]) -> T:
    """Return `possible[name]`. Raises the UserError of `unknown` where the name does not exist."""
    if name not in possible:
        raise unknown(what, name, possible)
    return possible[name]
