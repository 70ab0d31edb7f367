"""What a user did wrong, in one line: what was got and what is possible."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake the user can mend. Commands print its one line and exit with code 2."""


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
