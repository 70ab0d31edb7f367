from __future__ import annotations

import io

import numpy as np
from PIL import Image

from imgloc.runs.film_strips import MAX_FRAMES, SIDE, film_strip, shown_frames


def test_a_strip_has_the_frames_below_each_other() -> None:
    frames = np.repeat(np.arange(0, 200, 50, dtype=np.uint8), 16 * 24).reshape(4, 16, 24, 1)
    with Image.open(io.BytesIO(film_strip(frames))) as strip:
        assert (strip.format, strip.size) == ("WEBP", (24, 64))
        levels = np.asarray(strip.convert("L")).reshape(4, 16 * 24).mean(axis=1)
    np.testing.assert_allclose(levels, [0, 50, 100, 150], atol=8)


def test_a_long_video_is_thinned_out_and_a_large_one_reduced() -> None:
    assert shown_frames(3) == [0, 1, 2]
    numbers = shown_frames(1_000)
    assert len(numbers) == MAX_FRAMES
    assert (numbers[0], numbers[-1]) == (0, 999)
    with Image.open(io.BytesIO(film_strip(np.zeros((2, 400, 800, 3), np.uint8)))) as strip:
        assert strip.size == (SIDE, SIDE)
