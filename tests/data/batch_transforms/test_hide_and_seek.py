"""Hide-and-Seek on the device against loops in NumPy."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.data.batch_transforms.hide_and_seek import hidden, transform
from tests.drawn_batches import random_batch
from tests.refusals import assert_refused

compiled = jax.jit(hidden)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), resize=st.sampled_from(["stretch", "letterbox"]))
def test_hidden_cells_have_the_mean_color_and_no_other_pixel_changes(seed: int, resize: str) -> None:
    batch = random_batch(seed, resize=resize)
    rng = np.random.default_rng(seed)
    cells = rng.choice([0, 1, 4, 5, 7], len(batch.label_b)).astype(np.int32)
    grid = rng.random((len(cells), 7, 7)) < 0.5
    found = np.asarray(compiled(batch, cells, grid).images_bxhxwxc)

    height, width = batch.images_bxhxwxc.shape[1:3]
    contents = np.round(np.asarray(batch.content_bx4) * [width, height, width, height]).astype(int)
    parts = [batch.images_bxhxwxc[i, y0:y1, x0:x1] for i, (x0, y0, x1, y1) in enumerate(contents) if batch.example_mask_b[i]]
    color = np.array([part.reshape(-1, 3).astype(int).sum(axis=0) // (part.size // 3) for part in parts]).sum(axis=0) // len(parts)
    for i, (x0, y0, x1, y1) in enumerate(contents):
        expected = np.array(batch.images_bxhxwxc[i])
        for y in range(y0, y1):
            for x in range(x0, x1):
                if cells[i] and grid[i, y * cells[i] // height, x * cells[i] // width]:
                    expected[y, x] = color
        np.testing.assert_array_equal(found[i], expected)


def test_half_of_the_cells_are_hidden_and_all_sizes_are_drawn() -> None:
    batch = random_batch(0, valid=7)
    constant = batch._replace(images_bxhxwxc=np.tile(np.arange(0, 252, 36, dtype=np.uint8)[:, None, None, None], (1, 16, 24, 3)))
    shares: list[float] = []
    sizes: Counter[bool] = Counter()
    for number in range(60):
        found = np.asarray(jax.jit(transform, static_argnames="cells")(constant, jax.random.key(number), cells=(0, 4)).images_bxhxwxc)
        for i in (0, 1, 2, 4, 5, 6):  # image 3 has the mean color itself
            share = float((found[i] != constant.images_bxhxwxc[i]).mean())
            sizes[share > 0] += 1
            assert (share * 16) % 1 == 0, "whole cells"
            shares += [share] if share else []
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert 0.4 < sizes[True] / sizes.total() < 0.6


def test_boxes_and_labels_stay_as_they_are() -> None:
    batch = random_batch(3)
    found = transform(batch, jax.random.key(0))
    assert not np.array_equal(found.images_bxhxwxc, batch.images_bxhxwxc)
    for field in batch._fields:
        if field not in ("images_bxhxwxc", "soft_label_bxk"):
            np.testing.assert_array_equal(getattr(found, field), getattr(batch, field))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hide": 1.5}, "hide_and_seek.hide must be from 0 to 1, got 1.5"),
        ({"cells": (4, 65)}, "hide_and_seek.cells must be whole numbers from 0 to 64 such as (0, 4, 7), got (4, 65)"),
        ({"cells": ()}, "hide_and_seek.cells must be whole numbers"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    assert_refused(lambda: transform(random_batch(0), jax.random.key(0), **options), message)
