"""The file of published weights: in an installed package, at a path, or on the Hugging Face Hub."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path
from typing import NamedTuple

from imgloc.config.pretrained_fields import split_spec, weights_of
from imgloc.errors import UserError, reason, storage_message

HUB = "hf://"
HUB_FILE = "model.safetensors"


class WeightsFile(NamedTuple):
    """A file of weights and what identifies it."""

    path: Path
    sha256: str  # of its bytes


def find_weights(spec: str) -> WeightsFile:
    """The file of `NAME`, `NAME:FILE` or `NAME:hf://OWNER/REPOSITORY`; a repository is downloaded unless its file is in the cache.

    The code of a package that has the file is not imported. Raises UserError where there is no such file.
    """
    weights, place = weights_of(spec), split_spec(spec)[1]
    if not place and weights.package:
        path = _in_package(weights.package, spec)
    elif not place and not weights.hub:
        raise UserError(f"the weights '{spec}' are neither in a package nor on a hub; name their file: {spec}:FILE")
    elif not place or place.startswith(HUB):
        path = _on_hub(place.removeprefix(HUB) or weights.hub)
    else:
        path = Path(place).expanduser()
    try:
        with path.open("rb") as file:
            return WeightsFile(path, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        raise UserError(f"weights '{spec}': {storage_message(error)}") from error


def _in_package(package: str, spec: str) -> Path:
    try:
        files = importlib.metadata.files(package) or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the weights '{spec}' are in the package {package}, which is not installed; pip install {package}") from None
    found = [Path(str(file.locate())) for file in files if file.suffix == ".pth"]
    if len(found) != 1:
        raise UserError(
            f"the package {package} has {len(found)} files with the suffix .pth, expected 1; pip install --force-reinstall {package}"
        )
    return found[0]


def _on_hub(repository: str) -> Path:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        problem = f"the weights '{HUB}{repository}' are on the Hugging Face Hub, which requires the package huggingface_hub"
        raise UserError(f"{problem}; pip install huggingface_hub, or name a file: NAME:FILE") from None
    try:
        return Path(hf_hub_download(repository, HUB_FILE))
    except Exception as error:  # of the network, the repository or the cache
        raise UserError(f"cannot download '{HUB}{repository}': {reason(error, lines=1)[:200]}") from error
