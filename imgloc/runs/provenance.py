"""Provenance of a run: commit, package versions, machine, devices, commands and their times."""

from __future__ import annotations

import datetime
import functools
import hashlib
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.errors import UserError
from imgloc.runs.run_dir import RunDir

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "ml-collections", "numpy", "pillow", "mlxtend",
            "opencv-python-headless", "simplejpeg", "tensorflow-datasets", "array-record", "safetensors", "scikit-learn", "msgspec",
            "imgloc")  # fmt: skip
#: Parts of this package that cannot change the results of a run: they start runs, show them and compare them.
ABOVE = ("reporting", "serving", "sweeps", "experiments", "api", "cli", "errors.py", "files.py", "draw.py", "__init__.py", "__main__.py")
SETTINGS = ("IMGLOC_TUNE", "XLA_FLAGS", "JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES")  # environment variables that change results or speed


def begin_session(run: RunDir, first_step: int, devices: list[str], layout: dict[str, int]) -> None:
    """Add a session to provenance.json: the command and commit of this process, and what differs from when the run began."""
    stored = run.read(run.provenance)
    current = {**describe_environment(), "devices": devices, "layout": layout}
    session = {
        "command": command_line(),
        **git_commit(),
        "code": code_fingerprint(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "from_step": first_step,
        **{key: value for key, value in current.items() if value != stored.get(key)},
    }
    files.write_json(run.provenance, {**stored, "sessions": [*stored["sessions"], session]})


def update_session(run: RunDir, last_step: int, seconds: float) -> None:
    """Update the last session in provenance.json with the last step and the wall time of this process."""
    stored = run.read(run.provenance)
    stored["sessions"][-1] |= {"to_step": last_step, "seconds": round(seconds, 1)}
    files.write_json(run.provenance, stored)


def check_same_numerics(run: RunDir, numerics: Mapping[str, str]) -> None:
    """Raise UserError where a setting of JAX that changes every number differs from when the run began."""
    recorded = run.read(run.provenance).get("numerics", {})
    for name, now in numerics.items():
        if recorded.get(name) != now:
            raise UserError(
                f"{name} is {now}, but '{run.path}' began with {recorded.get(name)}; "
                f"set {name.upper()}={recorded.get(name)}, or choose another --workdir"
            )


def make_provenance(
    data_fingerprints: dict[str, str], devices: list[str], layout: dict[str, int], config_fingerprint: str, numerics: Mapping[str, str]
) -> dict[str, Any]:
    """Return everything besides the config that the results of a run may depend on; it is written when the run begins."""
    return {
        "config": config_fingerprint,
        "sessions": [],
        **git_commit(),
        "data": data_fingerprints,
        **describe_environment(),
        "devices": devices,
        "layout": layout,
        "numerics": dict(numerics),
    }


def describe_environment() -> dict[str, Any]:
    """Return the versions, machine and settings of this process."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "python": platform.python_version(),
        "packages": versions,
        "platform": platform.platform(),
        "machine": f"{_processor()}, {os.cpu_count()} cores",
        "settings": {name: os.environ[name] for name in SETTINGS if name in os.environ},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def command_line() -> str:
    """Return the command of this process, quoted for a shell."""
    return shlex.join(["imgloc", *sys.argv[1:]])


@functools.cache
def code_fingerprint() -> str:
    """Return a fingerprint of the files of this package that can change the results of a run: all but those in `ABOVE`."""
    package = Path(__file__).parents[1]
    names = [path.relative_to(package) for path in sorted(package.rglob("*.py"))]
    kept = [name for name in names if name.parts[0] not in ABOVE]
    return files.fingerprint([[name.as_posix(), hashlib.sha256((package / name).read_bytes()).hexdigest()] for name in kept])


def git_output(*arguments: str) -> str:
    """Return what a git command prints in the checkout of this package. Raises OSError or SubprocessError where it fails."""
    # An installed package may be inside another repository, so this file must be tracked.
    command = ["git", "-C", str(Path(__file__).parents[2])]
    for words in (["ls-files", "--error-unmatch", str(Path(__file__))], arguments):
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def git_commit() -> dict[str, str | bool]:
    """Return the commit of the working tree of this package (`unknown` without one), and whether it has uncommitted changes."""
    try:
        return {"commit": git_output("rev-parse", "HEAD"), "dirty": bool(git_output("status", "--porcelain", "--", "imgloc", "configs"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": False}
