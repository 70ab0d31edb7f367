"""Operations split over four faked devices, by jit and by shard_map, give what one device gives."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from imgloc.nn.mesh_axes import match_varying_axes
from tests import processes
from tests.nn.sharded import FUNCTIONS


@pytest.fixture(scope="module")
def differences(cache: Path) -> dict[str, dict[str, float]]:
    """One process for all: most of the time goes into starting it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.nn.sharded"],
        cwd=processes.ROOT, env=processes.environment(cache, devices=4), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", FUNCTIONS)
def test_four_devices_give_what_one_gives(name: str, differences: dict[str, dict[str, float]]) -> None:
    found = dict(differences[name])
    scale = found.pop("scale")
    assert set(found) >= {"jit", "shard_map", "gradient in shard_map"}
    assert ("spmd_axis_name" in found) == (name == "population of kernels")
    assert max(found.values()) < 1e-5 * scale, found
    assert scale > 0.05


def test_outside_shard_map_nothing_happens() -> None:
    arrays = jnp.ones(3), jnp.ones((2, 2))
    assert all(a is b for a, b in zip(match_varying_axes(*arrays), arrays, strict=True))
    assert jax.make_jaxpr(match_varying_axes)(*arrays).eqns == []
