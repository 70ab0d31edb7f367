"""Prepares data sets as array_record in TFDS's folder: our builders with our own writer, TFDS's builders with TFDS."""

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
from typing import TYPE_CHECKING

from imgloc.config import registry
from imgloc.data.prepared import records
from imgloc.data.prepared.fields import known_fields
from imgloc.data.prepared.members import open_members
from imgloc.data.prepared.opening import data_dir, default_folder
from imgloc.errors import UserError, one_line, reason, with_causes

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

REQUIRES_TENSORFLOW = "TFDS's builder requires tensorflow, which is not installed; reading does not require it"
INSTALL = "install tensorflow, or prepare the data set on a machine that has it"
NETWORK = (
    "ConnectionError", "URLError", "DownloadError", "Timeout", "ConnectTimeout", "HTTPError", "gaierror", "SSLError", "ProxyError",
)  # fmt: skip


@dataclass(frozen=True)
class Prepared:
    """The result of `prepare`."""

    folder: Path
    examples: dict[str, int]  # split -> number of examples
    files: int
    status: str  # prepared, resumed (some files existed) or already prepared
    checked: bool  # whether the files were checked against their checksums


def prepare(
    name: str,
    *,
    origin: str = "",
    folder: str = "",
    shard_bytes: int = records.SHARD_BYTES,
    on_start: Callable[[int], None] = lambda _: None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Prepared:
    """Prepares a data set by name in `folder`, TFDS's data_dir (empty: TFDS's default).

    `origin` is the archive or folder that one of our builders reads. `on_start` is called with the number of examples to write,
    `on_progress` with the number of examples written since the last call. An existing data set is checked against its checksums. An
    interrupted preparation continues after its last complete file and results in the same bytes.
    Raises UserError if the data set cannot be prepared, OSError if it cannot be written.
    """
    if not name:
        raise UserError(f"the name of the data set is empty; possible: {', '.join(registry.names('data.builders'))} and those of TFDS")
    if name.split(":", maxsplit=1)[0] not in registry.names("data.builders"):
        if origin:
            builders = ", ".join(registry.names("data.builders"))
            raise UserError(f"--from is only for {builders}; TFDS downloads {name}, or reads files where its builder expects them")
        return _prepare_with_tfds(name, folder)
    module = registry.find("data.builders", name)
    try:
        builder = module.BUILDER(data_dir=data_dir(folder), file_format="array_record")
    except OSError:
        raise
    except Exception as error:  # it reads an existing data set, whose damage raises many types
        where = f"{name} in {folder or default_folder()}"
        raise UserError(f"{where} cannot be read ({reason(error, lines=1)[:200]}); delete it to prepare it again") from error
    final = Path(builder.data_dir)
    if final.is_dir():
        source = module.plan(open_members(Path(origin))).sha256() if origin else None
        count = records.verify(final, source)
        return Prepared(final, _examples(builder), count, "already prepared", True)
    if not origin:
        raise UserError(f"{name} is not prepared in {folder or default_folder()}; use --from FILE_OR_FOLDER; {module.OBTAIN}")
    plan = module.plan(open_members(Path(origin)))
    module.describe(builder.info, plan)
    on_start(sum(len(sizes) for sizes in plan.sizes.values()))
    written, reused = records.write(builder, plan, shard_bytes=shard_bytes, on_progress=on_progress)
    return Prepared(written, _examples(builder), records.verify(written), "resumed" if reused else "prepared", True)


def _examples(builder: tfds.core.DatasetBuilder) -> dict[str, int]:
    return {split: int(info.num_examples) for split, info in builder.info.splits.items()}


def _prepare_with_tfds(name: str, folder: str) -> Prepared:
    """Prepares a data set with TFDS's builder. Raises UserError, one line, if that fails."""
    known = known_fields(name)
    if known is not None and known.tensorflow and importlib.util.find_spec("tensorflow") is None:
        raise UserError(f"{name}: {REQUIRES_TENSORFLOW}; {known.note or INSTALL}")
    import tensorflow_datasets as tfds

    try:
        with contextlib.redirect_stdout(sys.stderr):  # TFDS prints to stdout
            builder = tfds.builder(name, data_dir=data_dir(folder), file_format="array_record")
            exists = Path(builder.data_dir).is_dir()
            if not exists:
                _check_network(name, builder)
                builder.download_and_prepare()
    except UserError:
        raise
    except tfds.core.registered.DatasetNotFoundError as error:
        raise UserError(f"TFDS has no data set '{name}': {one_line(error, lines=1)[:200]}") from error
    except Exception as error:  # builders raise many types
        raise UserError(f"TFDS cannot prepare {name}: {_explain(error)}") from error
    count = sum(len(info.shard_lengths) for info in builder.info.splits.values())
    return Prepared(Path(builder.data_dir), _examples(builder), count, "already prepared" if exists else "prepared", False)


def _check_network(name: str, builder: tfds.core.DatasetBuilder) -> None:
    """Raises UserError if a download host cannot be resolved; TFDS would retry for minutes."""
    hosts = {urllib.parse.urlsplit(url).hostname for url in builder.url_infos or ()}
    if urllib.request.getproxies():
        return
    for host in sorted(host for host in hosts if host):
        try:
            socket.getaddrinfo(host, 443)
        except OSError as error:
            raise UserError(f"{name} cannot be downloaded from {host} ({one_line(error)}); check the network connection") from error


def _explain(error: Exception) -> str:
    """The cause of an error of TFDS, and its remedy."""
    chain = list(with_causes(error))
    if any(isinstance(cause, ImportError) and "tensorflow" in str(cause) for cause in chain):
        return f"{REQUIRES_TENSORFLOW}; {INSTALL}"
    manual = [cause for cause in chain if "anual" in str(cause)]
    if manual:
        return one_line(manual[0])[:600]
    if any(type(cause).__name__ in NETWORK for cause in chain):
        return f"it cannot be downloaded ({reason(error, lines=1)[:200]}); check the network connection"
    return reason(error, lines=2)[:400]
