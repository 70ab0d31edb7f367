"""Process settings that make XLA quick on a CPU; `prepare()` is called before jax is imported.

IMGLOC_TUNE=0 switches all of them off. A library import never calls this: only the commands do.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import sys
from pathlib import Path
from typing import Any

# What glibc's allocator is told, by the variable that tells it from outside (mallopt(3)): the parameter's
# number in malloc.h, and its value. XLA takes large buffers from worker threads and gives them back each
# step; by default glibc returns them to the system and every step faults them in again.
ALLOCATOR = {
    "MALLOC_ARENA_MAX": (-8, 2),  # with 1, small blocks of other threads lie between the large ones: up to twice the memory
    "MALLOC_MMAP_MAX_": (-4, 0),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_TOP_PAD_": (-2, 64 * 2**20),
}


def tuned() -> bool:
    """Whether the settings apply: yes, unless IMGLOC_TUNE=0."""
    return os.environ.get("IMGLOC_TUNE", "1") != "0"


def prepare() -> None:
    """Tune the allocator and point JAX at its compilation cache. Call before jax is imported."""
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Orbax warns of its own defaults, and prints tracebacks of errors that it raises as well, later.
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _unraisablehook
    if not tuned() or sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version"):
        for parameter, value in ALLOCATOR.values():
            libc.mallopt(parameter, value)


def _unraisablehook(unraisable: sys.UnraisableHookArgs) -> None:
    """Python's own, but for what TensorStore says of each array of a save that has failed already, hundreds of times."""
    if not (unraisable.exc_type is RuntimeError and str(unraisable.exc_value) == "Event loop is closed"):
        sys.__unraisablehook__(unraisable)


def cache_folder() -> Path:
    """Where compiled programs are kept between runs: imgloc's part of the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(base) / "imgloc" / "xla"


def compiler_options() -> dict[str, Any] | None:
    """Options for `jax.jit(compiler_options=...)` on this jaxlib and backend, or None.

    On a CPU, XLA's own convolutions beat those of YNNPACK, whose matrix products and sums win
    (`experiments/operation_forms/run.py --programs` times whole steps with these options and without).
    """
    return _where_known(_CPU_OPTIONS)


def compiler_options_once() -> dict[str, Any] | None:
    """Options for a program that runs once and computes little, such as a model's initialization, or None.

    On a CPU, LLVM's full optimization of the random numbers of many parameters takes seconds, its
    first level a fifth of that; the numbers are the same.
    """
    return _where_known(_ONCE_OPTIONS)


_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"}
_ONCE_OPTIONS = {"xla_backend_optimization_level": 1}


def _where_known(options: dict[str, Any]) -> dict[str, Any] | None:
    import jax

    return dict(options) if tuned() and jax.default_backend() == "cpu" and _known(tuple(options.items())) else None


@functools.cache
def _known(options: tuple[tuple[str, Any], ...]) -> bool:
    """Whether this jaxlib takes the options: only trying tells."""
    import jax

    try:
        jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except Exception:  # it says so with an error type of its own
        return False
    return True
