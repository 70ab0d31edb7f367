"""What a user did wrong, in one line: what was got and what is possible."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(Exception):
    """A mistake the user can mend. Commands print its one line and exit with code 2."""


class UnreadableImage(Exception):
    """An image of a data set that cannot be used; its message says which and why. Pipelines skip it and say so.

    `kind` is one of `imgloc.data.checks.faults`: it cannot be decoded, unless another one is said.
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


def of_storage(error: OSError) -> str:
    """What cannot be written or read, why, and what to do, in one line."""
    where = f"'{error.filename}'" if error.filename else "a file"
    what = "write" if error.errno in REMEDIES and error.errno != errno.EACCES else "use"
    remedy = REMEDIES.get(error.errno or 0)
    return f"cannot {what} {where}: {error.strerror or one_line(error)}" + (f"; {remedy}" if remedy else "")


def storage_error(error: BaseException, path: str) -> OSError:
    """The OSError behind an error of a library that writes `path`; by its number, or by what its message says."""
    chain = list(with_causes(error))
    numbers = [behind.errno for behind in chain if isinstance(behind, OSError) and behind.errno]
    numbers += [number for number in REMEDIES if any(os.strerror(number) in str(behind) for behind in chain)]
    if numbers:
        return OSError(numbers[0], os.strerror(numbers[0]), path)
    return OSError(f"{path}: {reason(error, lines=1)[:200]}")


def with_causes(error: BaseException) -> Iterator[BaseException]:
    """An error, then what it was raised from or while handling, and so on."""
    behind: BaseException | None = error
    while behind is not None:
        yield behind
        behind = behind.__cause__ or behind.__context__


def one_line(error: BaseException, *, lines: int | None = None) -> str:
    """An error's message with all white space as single blanks; of its first `lines` only where that is given."""
    message = str(error.args[0] if isinstance(error, KeyError) and error.args else error)  # str() of a KeyError is the repr
    return " ".join(" ".join(message.splitlines()[:lines]).split())


def reason(error: BaseException, *, lines: int | None = None) -> str:
    """`Type: message` of an error that is not ours, in one line; of its first `lines` only where that is given."""
    return f"{type(error).__name__}: {one_line(error, lines=lines)}"


def unknown(what: str, got: str, possible: Iterable[str]) -> UserError:
    """An error for a name that does not exist, with the nearest right one first."""
    names = sorted(possible)
    near = difflib.get_close_matches(got, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return UserError(f"unknown {what} '{got}'; {hint}possible: {', '.join(names) or 'none'}")


def check_at_least(least: int, **numbers: int | tuple[int, ...]) -> None:
    """Raises UserError for a field of a model, or a number in one, below the least that is possible."""
    for name, value in numbers.items():
        if min(value, default=least) < least if isinstance(value, tuple) else value < least:
            raise UserError(f"model.{name} is {value}; possible: at least {least}{' each' if isinstance(value, tuple) else ''}")


def check_dropout(rate: float) -> None:
    """Raises UserError for a rate of dropout that leaves nothing, or is none."""
    if not 0 <= rate < 1:
        raise UserError(f"dropout (model.dropout) is {rate}; possible: 0 up to, not including, 1")


def chosen(what: str, name: str, possible: Mapping[str, T]) -> T:
    """What a table has under a name that a user chose. Raises UserError, as `unknown` says it, where it has none."""
    if name not in possible:
        raise unknown(what, name, possible)
    return possible[name]
