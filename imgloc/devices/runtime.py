"""Process settings that make XLA faster on a CPU. The commands apply them, or `imgloc.tune_process()`; never an import.

IMGLOC_TUNE=0 disables the allocator settings and the compiler options.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import sys
import tempfile
from pathlib import Path

# Environment variable of glibc (mallopt(3)) -> the number of the parameter in malloc.h, and its value. XLA allocates and frees large
# buffers in worker threads at each step; by default glibc returns them to the system, and every step faults them in again.
ALLOCATOR = {
    "MALLOC_ARENA_MAX": (-8, 2),  # 1 uses up to twice the memory: small blocks of other threads fragment the heap
    "MALLOC_MMAP_MAX_": (-4, 0),
    "MALLOC_TRIM_THRESHOLD_": (-1, 2**31 - 1),
    "MALLOC_TOP_PAD_": (-2, 64 * 2**20),
}


def tuned() -> bool:
    """Return whether the settings apply; IMGLOC_TUNE=0 disables them."""
    return os.environ.get("IMGLOC_TUNE", "1") != "0"


def prepare() -> None:
    """Configure the allocator, the compilation cache of JAX and logging for this process. Call it before jax is imported.

    It sets environment variables, silences the logs of absl and asyncio, and filters repeated errors of TensorStore.
    """
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Orbax warns about its own defaults and prints tracebacks of errors that it also raises later.
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
    """Call the hook of Python, except for the errors that TensorStore repeats for each array of a save that has already failed."""
    if not (unraisable.exc_type is RuntimeError and str(unraisable.exc_value) == "Event loop is closed"):
        sys.__unraisablehook__(unraisable)


def cache_folder() -> Path:
    """Return the folder of compiled programs in the cache folder of the user."""
    home = os.path.expanduser("~")  # unchanged where HOME is not set and the user has no entry in the password database
    if home == "~":
        home = tempfile.gettempdir()
    base = os.environ.get("XDG_CACHE_HOME") or Path(home) / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(base) / "imgloc" / "xla"


def compiler_options() -> dict[str, str | int] | None:
    """Return options for `jax.jit(compiler_options=...)` on this jaxlib and backend, or None.

    On a CPU, the convolutions of XLA are faster than those of YNNPACK, whose matrix products and sums are faster than those of
    XLA (`experiments/operation_forms/run.py --programs` measures whole steps with these options and without).
    """
    return _if_supported(_CPU_OPTIONS)


def compiler_options_once() -> dict[str, str | int] | None:
    """Return options for a program that runs once, such as the initialization of a model, or None.

    On a CPU, level 1 of the optimization of LLVM takes a fifth of the seconds that the default takes; the results are the same.
    """
    return _if_supported(_ONCE_OPTIONS)


_CPU_OPTIONS: dict[str, str | int] = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
}
_ONCE_OPTIONS: dict[str, str | int] = {"xla_backend_optimization_level": 1}


def _if_supported(options: dict[str, str | int]) -> dict[str, str | int] | None:
    import jax

    return dict(options) if tuned() and jax.default_backend() == "cpu" and _is_supported(tuple(options.items())) else None


@functools.cache
def _is_supported(options: tuple[tuple[str, str | int], ...]) -> bool:
    """Return whether this jaxlib compiles with the options."""
    import jax

    try:
        jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except Exception:  # the type of the error is private to jaxlib
        return False
    return True
