"""The environments of timed processes."""

from __future__ import annotations

from benchmarks import settings
from imgloc.devices import runtime


def test_the_allocator_is_told_what_imgloc_tells_it() -> None:
    numbers = {"MALLOC_ARENA_MAX": -8, "MALLOC_MMAP_MAX_": -4, "MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_TOP_PAD_": -2}  # glibc's malloc.h
    assert {name: (numbers[name], int(value)) for name, value in settings.ALLOCATOR.items()} == runtime.ALLOCATOR


def test_box_is_free_of_allocator_settings_and_tuned_has_them() -> None:
    outside = {"MALLOC_ARENA_MAX": "7", "PATH": "/bin", "JAX_COMPILATION_CACHE_DIR": "kept"}
    box, tuned = (settings.environment(setting, outside) for setting in settings_names())
    assert not set(settings.ALLOCATOR) & set(box)
    assert {name: tuned[name] for name in settings.ALLOCATOR} == settings.ALLOCATOR
    for variables in (box, tuned):
        assert variables["PATH"] == "/bin"
        assert variables["KERAS_BACKEND"] == "jax"
        assert variables["JAX_COMPILATION_CACHE_DIR"] == "kept"
        assert int(variables["OMP_NUM_THREADS"]) == settings.cores() >= 1
    assert outside["MALLOC_ARENA_MAX"] == "7"


def settings_names() -> tuple[str, ...]:
    from benchmarks.works import SETTINGS

    return SETTINGS
