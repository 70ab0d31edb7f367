"""The batches and photographs of the input benchmark."""

from __future__ import annotations

import io
import itertools

import numpy as np
from PIL import Image

from benchmarks import feeding, works
from imgloc.data.digits import load_digits
from imgloc.data.images import decode


def test_digit_batches_have_the_shapes_of_their_works() -> None:
    for work in (works.DIGITS, works.LSTM):
        (batch,) = itertools.islice(feeding.digit_batches(work, 1), 1)
        assert batch.images_bxhxwxc.shape == (work.batch, work.size, work.size, work.channels)
        assert set(batch.label_b) <= set(range(work.classes))


def test_the_lstm_reads_mnist() -> None:
    digits = {image.tobytes() for image in load_digits("train").images_nx28x28}
    (batch,) = itertools.islice(feeding.digit_batches(works.LSTM, 1), 1)
    assert {image.tobytes() for image in batch.images_bxhxwxc} <= digits


def test_photographs_have_the_file_size_and_detail_of_real_ones() -> None:
    files = feeding.photographs(3)
    again = feeding.photographs(3)
    assert files == again
    assert len(set(files)) == 3
    assert all(30_000 < len(content) < 300_000 for content in files)  # ImageNet's are 110 kB on average
    pixels = decode.to_array(Image.open(io.BytesIO(files[0])), channels=3)
    assert pixels.shape == (375, 500, 3)
    assert pixels.std() > 10
    assert np.abs(np.diff(pixels[..., 0].astype(int), axis=1)).mean() < 20  # smooth shades, not noise


def test_making_batches_and_decoding_take_time() -> None:
    assert feeding.time_batches(works.LSTM, 2) > 0.01
    assert feeding.time_batches(works.DIGITS, 2) > 1
    assert feeding.time_decoding(32, 2, count=2, quick=True) > 0.1


def test_waiting_is_a_share_of_the_time_of_a_loop() -> None:
    ms, share = feeding.time_loop(works.LSTM, "cpu", 3)
    assert ms > 0.1
    assert 0.0 <= share < 1.0
