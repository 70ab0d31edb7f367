"""Claims: which process works on a point, among all processes on all machines that share the folder of a sweep.

A claim is a file ID.claim.N, where N counts the claims of a point. It is created complete, by a hard link, and never removed.
Of several processes that create the same N, one succeeds: this is the atomic operation on which everything relies, on local disks
and on NFS. A process may create N + 1 once claim N is over:

- its owner has released it, or
- its owner was on this machine and has ended: the kernel then has released its lock (`flock`), which child processes share, or
- its owner was on another machine and has not changed the file for LEASE_SECONDS, by the clock of the process that watches it.

The owner changes the file every BEAT_SECONDS. It notices that it has lost a claim when N + 1 exists, or when it could not change the
file for so long that others may take its claim. Files are opened again for each look, so that NFS revalidates them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from imgloc.errors import UserError, storage_message

LEASE_SECONDS = 60.0  # without a change by its owner on another machine, after which a claim is over
BEAT_SECONDS = 10.0  # between changes
RECORD_BYTES = 1000  # of a claim file, so that each change writes the same bytes of the file at once
UNSUPPORTED = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EPERM, errno.EMLINK)  # locks or hard links
_numbers = itertools.count()  # of temporary files of this process


class Claim:
    """A claim that this process holds. Child processes that inherit `handle` hold it too, for processes of this machine."""

    def __init__(self, path: Path, successor: Path, file: BinaryIO) -> None:
        self.handle = file.fileno()
        self.lost = False  # another process has taken it, or may take it
        self._path, self._successor = path, successor
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        last, beats = time.monotonic(), 0
        while not self._end.wait(BEAT_SECONDS):
            beats += 1
            with contextlib.suppress(OSError):  # a server may be away for a while
                _write(self.handle, beats=beats)
                last = time.monotonic()
            if self._successor.exists() or time.monotonic() - last > LEASE_SECONDS - BEAT_SECONDS:
                self.lost = True
                return

    def release(self) -> None:
        """End the claim, so that other processes need not wait."""
        self._end.set()
        self._thread.join()
        if not self.lost:
            with contextlib.suppress(OSError):
                _write(self.handle, released=True)


@dataclass(frozen=True)
class Claims:
    """The claims of a folder as this process sees them. It remembers when it saw each claim change."""

    folder: Path
    machine: str = ""  # another name than that of this machine, for tests
    _last: dict[str, int] = field(default_factory=dict)  # number of the last claim of each point
    _seen: dict[Path, tuple[bytes, float]] = field(default_factory=dict)  # content of a claim, and since when

    def path(self, identity: str, number: int) -> Path:
        """The file of a claim of a point."""
        return self.folder / f"{identity}.claim.{number}"

    def next(self, identity: str) -> int | None:
        """Return the number of the claim of a point that may be created, or None while another process holds the point."""
        number = self._last.get(identity, 0)
        while self.path(identity, number + 1).exists():
            number += 1
        self._last[identity] = number
        return number + 1 if number == 0 or self._is_over(self.path(identity, number)) else None

    def holder(self, identity: str) -> str:
        """Return the name of the host that holds a point, or "" where none does."""
        if self.next(identity) is not None:
            return ""
        with contextlib.suppress(OSError):
            return str(_record(self.path(identity, self._last[identity]).read_bytes()).get("host", "?"))
        return "?"

    def _is_over(self, path: Path) -> bool:
        try:
            with path.open("rb") as file:
                content = file.read()
                record = _record(content)
                if record.get("released"):
                    return True
                if record.get("machine") == (self.machine or this_machine(file.fileno())):
                    return _is_unlocked(file)
        except FileNotFoundError:  # someone has removed the folder
            return True
        now = time.monotonic()
        if self._seen.get(path, (b"", 0.0))[0] != content:
            self._seen[path] = content, now
        return now - self._seen[path][1] > LEASE_SECONDS

    @contextlib.contextmanager
    def hold(self, identity: str) -> Iterator[Claim | None]:
        """Claim a point: yields the claim, or None where another process holds the point. The claim is released at the end.

        Raises UserError where the file system supports no locks or no hard links, and where the file cannot be written.
        """
        number = self.next(identity)
        if number is None:
            yield None
            return
        path, host = self.path(identity, number), socket.gethostname()
        temporary = self.folder / f".{identity}.{host}.{os.getpid()}.{next(_numbers)}.tmp"
        with temporary.open("x+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                machine = self.machine or this_machine(file.fileno())
                _write(file.fileno(), machine=machine, host=host, pid=os.getpid())
                is_ours = _link(temporary, path)
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise UserError(storage_message(OSError(error.errno, error.strerror, str(self.folder)))) from error
                lacks = f"the file system of '{self.folder}' does not support locks or hard links, which a sweep needs: {error.strerror}"
                raise UserError(f"{lacks}; choose another --workdir") from error
            finally:
                temporary.unlink(missing_ok=True)
            if not is_ours:
                yield None
                return
            claim = Claim(path, self.path(identity, number + 1), file)
            try:
                yield claim
            finally:
                claim.release()


def _link(temporary: Path, path: Path) -> bool:
    """Create `path` as a link to a file; returns False where it exists. NFS may report that it exists after it was created."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return os.path.samestat(temporary.stat(), path.stat())
    return True


def _write(handle: int, **changes: Any) -> None:
    """Change the record in a claim file, and send it to the server of a network file system."""
    record = {**_record(os.pread(handle, RECORD_BYTES, 0)), **changes}
    os.pwrite(handle, json.dumps(record).ljust(RECORD_BYTES).encode(), 0)
    os.fsync(handle)


def _record(content: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        record = json.loads(content)
        return record if isinstance(record, dict) else {}
    return {}


def _is_unlocked(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def this_machine(handle: int) -> str:
    """Return a name of this boot of this machine and of the mounted file system of a file: within it, locks are seen at once."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # macOS
        boot = socket.gethostname()
    return f"{boot}:{os.fstat(handle).st_dev}"
