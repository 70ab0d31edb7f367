"""What all tests share: a reproducible hypothesis profile and the folder of larger data sets."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import tracemalloc  # noqa: F401  (see below)
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from jaxtyping import install_import_hook

# Arrays of these modules are checked against their annotations, in this process; before the modules are imported.
install_import_hook(["imgloc.draw", "imgloc.nn.apply", "imgloc.data.images"], "beartype.beartype")

from tests import imagenet_shaped, picture_folders, tiny_imagenet_shaped
from tests.run_fixtures import cache, evaluated_run, made_once, tiny_run  # noqa: F401  (fixtures)
from tests.video_folders import write_split_folder

# What is compiled once in a session serves its workers, their tests and the processes that these start. Set before jax is imported.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="imgloc-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
# Folders and files whose tests hold formulas, shapes and refusals, whatever a compiler makes of them.
LITTLE_OPTIMIZED = {
    "nn", "models", "losses", "cells", "benchmarks", "test_step", "test_contracts", "test_recipes", "test_non_finite", "test_setup",
    "test_loop", "test_fixations", "explanation", "image", "test_originals", "test_warm_start", "test_published",
    "test_distillation", "test_pruning",
}  # fmt: skip
# Files that take longest, in this order: handed out first, so that no worker is left alone with one at the end.
DEAREST = (
    "docs/test_build.py",
    "devices/test_devices.py", "training/test_resume.py", "evaluation/test_evaluate.py", "sweeps/test_run.py", "test_contracts.py",
    "training/test_setup.py", "training/test_step.py", "test_recipes.py", "training/test_storage.py", "benchmarks/test_linen_layers.py",
    "training/test_loop.py", "docs/test_extending.py", "models/test_three_layer_cnn.py", "training/test_non_finite.py",
    "benchmarks/test_bench_command.py", "inference/test_locate.py", "nn/test_mesh_axes.py",
)  # fmt: skip

# Pytest imports tracemalloc at the first warning from a destructor. When that happens while TFDS is being imported, whose lazy
# importer replaces `__import__` for everybody, the import fails and so does the test; imported here, it is there already.

hypothesis.settings.register_profile(
    "imgloc",
    derandomize=True,  # the same examples on every machine
    deadline=None,  # the first example compiles
    max_examples=20,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("imgloc")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The dearest files first; pytest-xdist hands files out in this order (`--no-loadscope-reorder`)."""
    rank = {Path(__file__).parent / name: number for number, name in enumerate(DEAREST)}
    items.sort(key=lambda item: rank.get(item.path, len(DEAREST)))


@pytest.fixture(scope="module", autouse=True)
def little_optimization(request: pytest.FixtureRequest) -> Iterator[None]:
    """These tests compile without most of LLVM's optimization, in half the time: their many small programs run once or a few times."""
    if not {request.path.parent.name, request.path.stem} & LITTLE_OPTIMIZED:
        yield
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with mnist/, awkward/ and so on that IMGLOC_DATA names; skips where it is not set."""
    if not os.environ.get("IMGLOC_DATA"):
        pytest.skip("IMGLOC_DATA is not set: no folder of data sets on this machine")
    return Path(os.environ["IMGLOC_DATA"])


@pytest.fixture(scope="session")
def imagenet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFDS folder with an `imagenet2012` of a few hundred small pictures. Not to be changed by tests."""
    return made_once(tmp_path_factory, "tfds", imagenet_shaped.prepare)


@pytest.fixture(scope="session")
def tiny_imagenet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFDS folder with a `tiny_imagenet` of three classes. Not to be changed by tests."""
    return made_once(tmp_path_factory, "tiny_imagenet", tiny_imagenet_shaped.prepare)


@pytest.fixture(scope="session")
def video_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven videos in each split; see `tests.video_folders`."""
    return write_split_folder(tmp_path_factory.mktemp("videos"))


@pytest.fixture(scope="session")
def picture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures with boxes of three classes, as CSV. Not to be changed by tests."""
    return made_once(tmp_path_factory, "pictures", picture_folders.prepare)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working tree."""
    return Path(__file__).parent.parent
