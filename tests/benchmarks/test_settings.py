"""The environments of timed processes."""

from __future__ import annotations

from benchmarks import settings
from benchmarks.works import SETTINGS
from imgloc.devices import runtime


def test_the_allocator_gets_imgloc_s_settings() -> None:
    numbers = {"MALLOC_ARENA_MAX": -8, "MALLOC_MMAP_MAX_": -4, "MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_TOP_PAD_": -2}  # glibc's malloc.h
    assert {name: (numbers[name], int(value)) for name, value in settings.ALLOCATOR.items()} == runtime.ALLOCATOR


def test_only_tuned_has_allocator_settings() -> None:
    outside = {"MALLOC_ARENA_MAX": "7", "PATH": "/bin", "JAX_COMPILATION_CACHE_DIR": "kept"}
    box, tuned = (settings.environment(setting, outside) for setting in SETTINGS)
    assert not set(settings.ALLOCATOR) & set(box)
    assert {name: tuned[name] for name in settings.ALLOCATOR} == settings.ALLOCATOR
    for variables in (box, tuned):
        assert variables["PATH"] == "/bin"
        assert variables["KERAS_BACKEND"] == "jax"
        assert variables["JAX_COMPILATION_CACHE_DIR"] == "kept"
        assert int(variables["OMP_NUM_THREADS"]) == settings.cores() >= 1
    assert outside["MALLOC_ARENA_MAX"] == "7"
