"""Preparing a data set under TFDS's folder, as array_record: ours by our own writer, TFDS's own by its builder."""

from __future__ import annotations

import contextlib
import importlib.util
import socket
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imgloc.config import registry
from imgloc.data.prepared import records
from imgloc.data.prepared.fields import fields_in_table
from imgloc.data.prepared.members import open_members
from imgloc.data.prepared.opening import data_dir, default_folder
from imgloc.errors import UserError, one_line, reason, with_causes

WANTS_TENSORFLOW = "TFDS's builder wants tensorflow, which is not installed here; reading wants none"
INSTALL = "install tensorflow, or prepare it where it is installed"
NETWORK = (
    "ConnectionError", "URLError", "DownloadError", "Timeout", "ConnectTimeout", "HTTPError", "gaierror", "SSLError", "ProxyError",
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """What `prepare` has done."""

    folder: Path
    examples: dict[str, int]  # of each split
    files: int
    how: str  # prepared; already prepared; resumed: some files were there
    checked: bool  # against the checksums of its files


def prepare(
    name: str,
    *,
    origin: str = "",
    folder: str = "",
    shard_bytes: int = records.SHARD_BYTES,
    begin: Callable[[int], None] = lambda _: None,
    wrote: Callable[[int], None] = lambda _: None,
) -> Prepared:
    """Prepare a data set by name under `folder`, TFDS's data_dir ("": its default).

    `origin` is the archive or folder that one of ours is made from. `begin` is told how many examples there are to write, `wrote`
    of those that have come to be there. What lies there already is read again and held against its checksums. One that was
    stopped goes on from its last whole file and ends with the same bytes.
    Raises UserError, one line, where it cannot be prepared, and OSError where it cannot be written.
    """
    if not name:
        raise UserError(f"no name of a data set; possible: {', '.join(registry.names('data.builders'))} and those of TFDS")
    if name.split(":", maxsplit=1)[0] not in registry.names("data.builders"):
        if origin:
            ours = ", ".join(registry.names("data.builders"))
            raise UserError(f"--from is for {ours}; TFDS's own {name} is downloaded, or read from what you put where its builder says")
        return _by_tfds(name, folder)
    module = registry.find("data.builders", name)
    try:
        builder = module.BUILDER(data_dir=data_dir(folder), file_format="array_record")
    except OSError:
        raise
    except Exception as error:  # it reads what is there already, and raises whatever that makes it
        lies = f"what lies under {folder or default_folder()} as {name}"
        raise UserError(f"{lies} cannot be read ({reason(error, lines=1)[:200]}); delete it to prepare anew") from error
    final = Path(builder.data_dir)
    if final.is_dir():
        source = module.plan(open_members(Path(origin))).sha256() if origin else None
        count = records.check(final, source)
        return Prepared(final, _examples(builder), count, "already prepared", True)
    if not origin:
        raise UserError(f"{name} is not prepared in {folder or default_folder()}; say what from: --from FILE_OR_FOLDER; {module.OBTAIN}")
    plan = module.plan(open_members(Path(origin)))
    module.describe(builder.info, plan)
    begin(sum(len(sizes) for sizes in plan.sizes.values()))
    written, there = records.write(builder, plan, shard_bytes=shard_bytes, wrote=wrote)
    return Prepared(written, _examples(builder), records.check(written), "resumed" if there else "prepared", True)


def _examples(builder: Any) -> dict[str, int]:
    return {split: int(info.num_examples) for split, info in builder.info.splits.items()}


def _by_tfds(name: str, folder: str) -> Prepared:
    """By TFDS's own builder, its failures in one line."""
    known = fields_in_table(name)
    if known is not None and known.tensorflow and importlib.util.find_spec("tensorflow") is None:
        raise UserError(f"{name}: {WANTS_TENSORFLOW}; {known.note or INSTALL}")
    import tensorflow_datasets as tfds

    try:
        with contextlib.redirect_stdout(sys.stderr):  # TFDS prints what it does
            builder = tfds.builder(name, data_dir=data_dir(folder), file_format="array_record")
            there = Path(builder.data_dir).is_dir()
            if not there:
                _check_network(name, builder)
                builder.download_and_prepare()
    except UserError:
        raise
    except tfds.core.registered.DatasetNotFoundError as error:
        raise UserError(f"TFDS has no data set '{name}': {one_line(error, lines=1)[:200]}") from error
    except Exception as error:  # its builders raise whatever they like
        raise UserError(f"TFDS cannot prepare {name}: {_why(error)}") from error
    count = sum(len(info.shard_lengths) for info in builder.info.splits.values())
    return Prepared(Path(builder.data_dir), _examples(builder), count, "already prepared" if there else "prepared", False)


def _check_network(name: str, builder: Any) -> None:
    """Refuse at once where the host that it is downloaded from has no address here: TFDS tries for minutes."""
    hosts = {urllib.parse.urlsplit(url).hostname for url in builder.url_infos or ()}
    if urllib.request.getproxies():
        return
    for host in sorted(host for host in hosts if host):
        try:
            socket.getaddrinfo(host, 443)
        except OSError as error:
            raise UserError(f"{name} cannot be downloaded from {host} ({one_line(error)}); is there a network?") from error


def _why(error: Exception) -> str:
    """The reason behind an error of TFDS, and what to do."""
    chain = list(with_causes(error))
    if any(isinstance(behind, ImportError) and "tensorflow" in str(behind) for behind in chain):
        return f"{WANTS_TENSORFLOW}; {INSTALL}"
    manual = [behind for behind in chain if "anual" in str(behind)]
    if manual:
        return one_line(manual[0])[:600]
    if any(type(behind).__name__ in NETWORK for behind in chain):
        return f"it cannot be downloaded ({reason(error, lines=1)[:200]}); is there a network?"
    return reason(error, lines=2)[:400]
