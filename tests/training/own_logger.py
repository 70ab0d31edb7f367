"""A logger that writes lines to `LOG`, and raises in the methods that `FAILS` names."""

from __future__ import annotations

from imgloc.training.run_loggers import LoggedRun, Record

LOG: list[tuple[str, object]] = []
FAILS: set[str] = set()


def open_logger(run: LoggedRun) -> OwnLogger:
    return OwnLogger(run)


class OwnLogger:
    def __init__(self, run: LoggedRun) -> None:
        self._note("open", run.identity)

    def _note(self, method: str, value: object) -> None:
        LOG.append((method, value))
        if method in FAILS:
            raise RuntimeError(f"no {method}")

    def add(self, record: Record) -> None:
        self._note("add", record["step"])

    def flush(self) -> None:
        self._note("flush", None)

    def close(self) -> None:
        self._note("close", None)
