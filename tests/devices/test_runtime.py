"""Process settings: only commands apply them, and the user can disable them."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from imgloc.devices import runtime
from imgloc.models import recurrent
from imgloc.training import step
from tests import processes


def python(code: str, **variables: str) -> str:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "IMGLOC_TUNE", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, **variables}, capture_output=True, text=True, check=True, cwd=processes.ROOT
    )
    return done.stdout.strip()


def test_importing_the_library_sets_nothing() -> None:
    code = "import os; before = dict(os.environ); import imgloc; print(dict(os.environ) == before)"
    assert python(code) == "True"
    code = "import os, imgloc; imgloc.load; print([name for name in os.environ if name.startswith(('JAX_', 'MALLOC_'))])"
    assert python(code) == "[]", "other libraries set variables of their own"


def test_the_compilation_cache_is_in_the_users_cache_folder_by_default(tmp_path: Path) -> None:
    code = "import os; from imgloc.devices import runtime; runtime.prepare(); print(os.environ['JAX_COMPILATION_CACHE_DIR'])"
    assert python(code, XDG_CACHE_HOME=str(tmp_path)) == str(tmp_path / "imgloc" / "xla")
    assert python(code, JAX_COMPILATION_CACHE_DIR="mine") == "mine"


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_the_allocator_keeps_large_buffers_only_if_tuned() -> None:
    # With M_MMAP_MAX = 0 a large buffer is allocated on the heap, whose end sbrk returns.
    code = (
        "from imgloc.devices import runtime; runtime.prepare(); import ctypes;"
        "libc = ctypes.CDLL(None); libc.sbrk.restype = ctypes.c_void_p;"
        "libc.sbrk.argtypes = [ctypes.c_ssize_t]; before = libc.sbrk(0); keep = bytearray(256 << 20);"
        "print(libc.sbrk(0) - before > 200 << 20)"
    )
    assert python(code) == "True"
    assert python(code, IMGLOC_TUNE="0") == "False"


def test_compiler_options_are_none_if_not_tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGLOC_TUNE", "0")
    assert runtime.compiler_options() is None
    assert runtime.compiler_options_once() is None


@pytest.mark.parametrize(("function", "options"), [("compiler_options", "_CPU_OPTIONS"), ("compiler_options_once", "_ONCE_OPTIONS")])
def test_compiler_options_are_those_that_this_jaxlib_supports(function: str, options: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGLOC_TUNE", "1")
    assert getattr(runtime, function)() == getattr(runtime, options)
    monkeypatch.setattr(runtime, options, {"xla_no_such_option": "1"})
    assert getattr(runtime, function)() is None


def test_a_program_compiled_to_run_once_computes_the_same_bits() -> None:
    model = recurrent.Model(num_classes=10, **recurrent.TINY)
    init = functools.partial(step.init_state, shape=(64, 64, 1), model=model, optimizer=optax.adam(1e-3), ema_decay=0.0)
    fast, full = (jax.jit(init, compiler_options=options)(0) for options in (runtime.compiler_options_once(), None))
    jax.tree.map(np.testing.assert_array_equal, fast, full)
