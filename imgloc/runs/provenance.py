"""Where the numbers of a run come from: commit, package versions, machine, commands and their times."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from imgloc import files
from imgloc.runs.run_dir import RunDir

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "ml-collections", "numpy", "pillow", "mlxtend",
            "opencv-python-headless", "simplejpeg", "tensorflow-datasets", "array-record", "safetensors", "msgspec", "imgloc")  # fmt: skip
SETTINGS = ("IMGLOC_TUNE", "XLA_FLAGS", "JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES")  # environment variables that change results or speed


def begin_session(run: RunDir, first_step: int, devices: list[str], layout: dict[str, int]) -> None:
    """Add this process's command, commit and whatever differs from the first process's to provenance.json."""
    written = run.read(run.provenance)
    now = {**surroundings(), "devices": devices, "layout": layout}
    session = {
        "command": command_line(),
        **commit(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "from_step": first_step,
        **{key: value for key, value in now.items() if value != written.get(key)},
    }
    files.write_json(run.provenance, {**written, "sessions": [*written["sessions"], session]})


def note_session(run: RunDir, last_step: int, seconds: float) -> None:
    """Note how far this process has come and its wall time so far."""
    written = run.read(run.provenance)
    written["sessions"][-1] |= {"to_step": last_step, "seconds": round(seconds, 1)}
    files.write_json(run.provenance, written)


def provenance(data_fingerprints: dict[str, str], devices: list[str], layout: dict[str, int], config_fingerprint: str) -> dict[str, Any]:
    """Everything beside the config that a run's numbers may depend on. Written when the run begins."""
    return {
        "config": config_fingerprint,
        "sessions": [],
        **commit(),
        "data": data_fingerprints,
        **surroundings(),
        "devices": devices,
        "layout": layout,
    }


def surroundings() -> dict[str, Any]:
    """Versions, machine and settings of this process."""
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
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def command_line() -> str:
    """The command that this process was started by, ready to be given to a shell."""
    return shlex.join(["imgloc", *sys.argv[1:]])


def commit() -> dict[str, Any]:
    """The commit of the working tree that this package is run from, and whether it has uncommitted changes."""
    root = Path(__file__).parents[2]

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20)
        return done.stdout.strip()

    try:
        # An installed package may lie in somebody else's repository: only one that tracks this file counts.
        git("ls-files", "--error-unmatch", str(Path(__file__)))
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--", "imgloc", "configs"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": "unknown", "dirty": False}
