"""Photographs are read and augmented from the same files to the same shapes by every implementation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import decoding, rounds


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for work in decoding.READINGS:
        decoding.make_folder(folder / work.name, work, files=decoding.BATCH)
    return folder


@pytest.mark.parametrize("work", decoding.READINGS, ids=lambda work: work.name)
def test_batches_have_the_size_of_the_work_and_keep_boxes(work: decoding.Reading, folders: Path) -> None:
    (batch,) = decoding.batches(folders / work.name, work.size, threads=1, workers=0, steps=1)
    assert batch.images_bxhxwxc.shape == (decoding.BATCH, work.size, work.size, 3)
    assert batch.object_mask_bxn.mean() > 0.8
    assert 0.01 < (batch.boxes_bxnx4[batch.object_mask_bxn][:, 2:].mean() - batch.boxes_bxnx4[batch.object_mask_bxn][:, :2].mean()) < 0.9


def test_decoders_agree(folders: Path) -> None:
    for work in decoding.READINGS:
        one, *others = (
            [np.asarray(image) for image in next(decoding.decoded_batches(folders / work.name, name))[:3]] for name in decoding.DECODERS
        )
        for other in others:
            assert np.array_equal(one, other)
        assert one[0].shape == (*work.stored, 3)


def test_pytorch_s_batches_have_the_same_size(folders: Path) -> None:
    pytest.importorskip("torchvision", reason="torchvision is not installed (install the extra `bench`)")
    from benchmarks import torch_decoding

    for tensors in (False, True):
        options = {"batch": decoding.BATCH, "smallest": 0.5, "factor": 0.2}
        images, _ = next(torch_decoding.batches(folders / "jpeg_64", 64, **options, tensors=tensors, workers=0))
        assert images.shape == (decoding.BATCH, 3, 64, 64)
        assert str(images.dtype) == "torch.uint8"


def test_the_first_batches_are_not_timed() -> None:
    assert decoding.time_batches(itertools.repeat(0), 0.01) < 1.0
    with pytest.raises(StopIteration):
        decoding.time_batches(iter(range(decoding.WARM_UP)), 0.01)


def test_rows_have_medians_ratios_and_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "DISTINCT", 1)
    times = {"imgloc_threads": 20.0, "imgloc_workers": 30.0, "torch_pillow": 50.0, "decode_imgloc": 2.0, "decode_pillow": 5.0}

    def worker(spec: Mapping[str, Any], setting: str) -> dict[str, Any]:
        name = spec["implementation"]
        assert (Path(spec["folder"]) / "train_labels.csv").is_file()
        return {"median_ms": times[name]} if name in times else {"reason": "does not work"}

    monkeypatch.setattr(rounds, "is_installed", lambda package: True)
    rows = rounds.reading(tmp_path, 2, quick=True, say=lambda line: None, worker=worker)
    row_of = {(row["work"], row["implementation"]): row for row in rows}
    assert len(row_of) == len(decoding.READINGS) * len(decoding.IMPLEMENTATIONS)
    assert row_of["jpeg_64", "torch_pillow"]["ratio"] == 2.5
    assert row_of["jpeg_64", "imgloc_workers"]["ratio"] == 1.5
    assert row_of["jpeg_64", "decode_pillow"]["ratio"] == 2.5
    assert row_of["jpeg_64", "imgloc_threads"]["images_per_second"] == 3200.0
    assert row_of["jpeg_500_to_224", "torch_tensors"]["reason"] == "does not work"
    assert row_of["jpeg_500_to_224", "torch_pillow"]["n"] == 2
