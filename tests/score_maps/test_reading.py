"""Score maps and masks from files: what is refused, and what the others become."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest

from imgloc.score_maps.levels import normalized
from imgloc.score_maps.reading import prepared, read_mask, read_masks, read_score_map
from tests.refusals import assert_refused


class _Touches:
    """A pickle of it makes a folder where it is loaded."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.path,)


def saved(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "map.npy", array)
    return folder / "map.npy"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_maps_of_floats_are_read(tmp_path: Path, dtype: type) -> None:
    map_hxw = np.linspace(0, 1, 12).reshape(3, 4).astype(dtype)
    found = read_score_map(saved(tmp_path, map_hxw))
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, map_hxw)
    np.testing.assert_array_equal(read_score_map(saved(tmp_path, np.asfortranarray(map_hxw))), map_hxw)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array([[0, np.nan]]), "has NaN"),
        (np.array([[0, np.inf]]), "infinite"),
        (np.array([[0, 1.5]]), "from 0 to 1.5"),
        (np.array([[-0.01, 1]]), "from -0.01 to 1"),
        (np.zeros((1, 14, 14)), "shape (1, 14, 14)"),
        (np.zeros(14), "shape (14,)"),
        (np.zeros((0, 3)), "shape (0, 3)"),
        (np.zeros((14, 14), np.uint8), "type uint8"),
        (np.zeros((2, 2), bool), "type bool"),
        (np.zeros((2, 2), complex), "type complex128"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    path = saved(tmp_path, array)
    assert_refused(lambda: read_score_map(path), str(path), reason, "expected")


def test_files_that_hold_no_array_are_refused_and_no_pickle_runs(tmp_path: Path) -> None:
    target = tmp_path / "made_by_a_pickle"
    np.save(tmp_path / "objects.npy", np.array([_Touches(str(target))], dtype=object), allow_pickle=True)
    (tmp_path / "pickle.npy").write_bytes(pickle.dumps(_Touches(str(target))))
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "text.npy").write_text("no array")
    np.savez(tmp_path / "several.npz", a=np.zeros((2, 2)))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    content = saved(tmp_path, np.zeros((50, 50))).read_bytes()
    (tmp_path / "truncated.npy").write_bytes(content[:-100])
    (tmp_path / "header.npy").write_bytes(content.replace(b"}", b" "))
    with (tmp_path / "large.npy").open("wb") as file:  # more than any memory, in 128 bytes
        np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**9)})
    for name in ("objects", "pickle", "empty", "text", "several", "truncated", "header", "large", "missing"):
        assert_refused(lambda name=name: read_score_map(tmp_path / f"{name}.npy"), f"{name}.npy", "expected")
    assert_refused(lambda: read_score_map(tmp_path), "expected")
    assert not target.exists()


def test_maps_of_the_final_size_stay_and_others_are_resized_and_normalized() -> None:
    rng = np.random.default_rng(0)
    final_hxw = rng.random((224, 224)) / 2
    np.testing.assert_array_equal(prepared(final_hxw), final_hxw)
    small_hxw = rng.random((7, 9))
    found = prepared(small_hxw)
    assert found.shape == (224, 224)
    assert (found.min(), found.max()) == (0, 1)
    resized = cv2.resize(small_hxw, (224, 224), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(found, (resized - resized.min()) / np.ptp(resized), atol=1e-12)
    np.testing.assert_array_equal(prepared(np.full((14, 14), 0.7)), np.zeros((224, 224)))
    np.testing.assert_array_equal(normalized(np.array([[1.0, 3.0]])), [[0, 1]])


def test_masks_are_resized_to_the_nearest_pixel_and_pooled(tmp_path: Path) -> None:
    first, second, ignored = (np.zeros((448, 112), np.uint8) for _ in range(3))
    first[:224], second[:, :28], ignored[:, :56] = 255, 1, 255
    paths = [tmp_path / f"{name}.png" for name in ("first", "second", "ignored")]
    for path, mask in zip(paths, (first, second, ignored), strict=True):
        cv2.imwrite(str(path), mask)
    np.testing.assert_array_equal(read_mask(paths[0]), np.arange(224)[:, None] < np.full((1, 224), 112))
    foreground, background = read_masks(paths[:2], paths[2])
    row, column = np.arange(224)[:, None], np.arange(224)[None]
    np.testing.assert_array_equal(foreground, (row < 112) | (column < 56))
    np.testing.assert_array_equal(background, ~foreground & (column >= 112))
    np.testing.assert_array_equal(read_masks(paths[:2], None)[1], ~foreground)


def test_masks_that_are_no_image_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "empty.png").write_bytes(b"")
    assert_refused(lambda: read_mask(tmp_path / "text.png"), "text.png", "expected an image file")
    assert_refused(lambda: read_mask(tmp_path / "empty.png"), "empty.png", "expected an image file")
    assert_refused(lambda: read_mask(tmp_path / "missing.png"), "missing.png", "No such file")


def test_the_bad_maps_of_the_case_are_refused(data_folder: Path) -> None:
    bad = sorted((data_folder / "wsol_case" / "bad").glob("*.npy"))
    if not bad:
        pytest.skip("no wsol_case in IMGLOC_DATA")
    assert len(bad) == 4
    for path in bad:
        assert_refused(lambda path=path: read_score_map(path), path.name)
