"""The environment variables of a timed process in the settings `box` and `tuned`."""

from __future__ import annotations

import os
from collections.abc import Mapping

from imgloc.devices import runtime

ALLOCATOR = {
    name: str(value) for name, (_, value) in runtime.ALLOCATOR.items()
}  # as environment variables they apply to every implementation


def environment(setting: str, outside: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables of a timed process in a setting, from the variables `outside`.

    `box` (out of the box): the system's default allocator; imgloc's processes tune themselves, as its commands do.
    `tuned`: the same allocator settings for every implementation. Both use all cores, one device, Keras on JAX, and a
    cache of compiled programs, which shortens only compilation and that is not timed.
    """
    variables = {name: value for name, value in outside.items() if name not in ALLOCATOR}
    variables |= {"KERAS_BACKEND": "jax", "OMP_NUM_THREADS": str(cores())}
    variables.setdefault("CUDA_VISIBLE_DEVICES", "0")
    variables.setdefault("JAX_COMPILATION_CACHE_DIR", str(runtime.cache_folder()))
    return variables | (ALLOCATOR if setting == "tuned" else {})


def cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
