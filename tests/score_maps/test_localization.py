"""The protocol at every threshold: small cases by hand, a plain implementation, and the counts of the original program."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.score_maps.localization import (
    best_contour_ious,
    inclusive_ious,
    largest_contour_ious,
    pixel_average_precision,
    pixel_histograms,
    scaled_box,
)  # fmt: skip
from imgloc.score_maps.metadata import read_metadata
from imgloc.score_maps.reading import prepared, read_masks, read_score_map
from imgloc.types import FloatArray, IntArray
from tests.score_maps.drawn_maps import levels_of, score_maps

PROTOCOLS = {"v1": largest_contour_ious, "v2": best_contour_ious}


def pixel_set(box: list[int]) -> set[tuple[int, int]]:
    return {(x, y) for x in range(box[0], box[2] + 1) for y in range(box[1], box[3] + 1)}


BOX = st.tuples(*[st.integers(0, 9)] * 4).map(lambda v: [min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])])


@given(st.lists(BOX, min_size=1, max_size=4), st.lists(BOX, min_size=1, max_size=3))
@settings(deadline=None)
def test_iou_counts_pixels(boxes: list[list[int]], truths: list[list[int]]) -> None:
    expected = [[len(pixel_set(a) & pixel_set(b)) / len(pixel_set(a) | pixel_set(b)) for b in truths] for a in boxes]
    np.testing.assert_array_equal(inclusive_ious(np.array(boxes), np.array(truths)), expected)


def test_boxes_are_scaled_and_rounded_down() -> None:
    assert scaled_box(np.array([53, 181, 454, 316]), 640, 427, 224) == [18, 94, 158, 165]


def plain_ious(map_hxw: FloatArray, truth_gx4: IntArray, thresholds_t: FloatArray, largest: bool) -> list[float]:
    image, found = levels_of(map_hxw), []
    height, width = image.shape
    for threshold in thresholds_t:
        _, above = cv2.threshold(image, int(threshold * np.max(image)), 255, cv2.THRESH_BINARY)
        contours = list(cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0])
        boxes = [[0, 0, 0, 0]]
        if contours:
            kept = [max(contours, key=cv2.contourArea)] if largest else contours
            boxes = [[x, y, min(x + w, width - 1), min(y + h, height - 1)] for x, y, w, h in map(cv2.boundingRect, kept)]
        found.append(max(len(pixel_set(a) & pixel_set(b)) / len(pixel_set(a) | pixel_set(b)) for a in boxes for b in truth_gx4.tolist()))
    return found


@given(score_maps(), st.lists(BOX, min_size=1, max_size=3), st.sampled_from([1.0, 0.6, 0.01]))
@settings(max_examples=40, deadline=None)
def test_ious_at_thresholds_are_those_of_a_loop_over_thresholds(map_hxw: FloatArray, truths: list[list[int]], highest: float) -> None:
    thresholds_t, map_hxw = np.arange(0, 1, 0.07), map_hxw * highest
    for key, function in PROTOCOLS.items():
        expected = plain_ious(map_hxw, np.array(truths), thresholds_t, key == "v1")
        np.testing.assert_array_equal(function(map_hxw, np.array(truths), thresholds_t), expected)


def test_a_map_without_contour_has_the_box_of_the_first_pixel() -> None:
    for function in PROTOCOLS.values():
        np.testing.assert_array_equal(function(np.zeros((8, 8)), np.array([[0, 0, 1, 0]]), np.array([0.0, 0.5])), [0.5, 0.5])


def test_pixels_are_counted_and_their_area_is_a_right_hand_sum() -> None:
    map_hxw = np.array([[0.0, 0.5, 1.0, 0.75], [0.75, 0.25, 0.5, 1.0]])
    foreground = np.array([[0, 0, 1, 1], [0, 0, 1, 0]], bool)
    background = ~foreground & (np.arange(8).reshape(2, 4) != 7)  # one pixel is ignored
    found = pixel_histograms(map_hxw, (foreground, background), np.array([0.0, 0.5]))
    np.testing.assert_array_equal(found, [[0, 2, 1, 0], [2, 2, 0, 0]])
    # From the highest scores: 1 of 1 is foreground at recall 1/3, 3 of 5 at recall 1, 3 of 7 at recall 1.
    assert pixel_average_precision(found) == pytest.approx(1 / 3 + 3 / 5 * 2 / 3)
    assert pixel_average_precision(np.stack([found, found * 2])).shape == (2,)
    assert np.isnan(pixel_average_precision(np.array([[0, 0], [1, 2]])))


@pytest.fixture(scope="module")
def case(data_folder: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of maps, and the counts of the original program for them."""
    folder = data_folder / "wsol_case"
    if not folder.is_dir():
        pytest.skip("no wsol_case in IMGLOC_DATA")
    return folder, json.loads((folder / "expected.json").read_text())


@pytest.mark.parametrize("interval", [0.001, 0.01])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("mode", ["maps224", "recorded levels", "raw_maps_unresized"])
def test_counts_at_every_threshold_are_those_of_the_original(
    case: tuple[Path, dict[str, Any]], mode: str, protocol: str, interval: float
) -> None:
    folder, expected = case
    truth = read_metadata(folder / "metadata" / "ILSVRC" / "test")
    levels = np.load(folder / "maps224_uint8.npz")
    ious = []
    for image in truth.ids:
        map_hxw = read_score_map(folder / "scoremaps" / f"{image}.npy")
        if mode == "maps224":
            map_hxw = prepared(map_hxw)
        elif mode == "recorded levels":  # what is left of a difference does not come from the resize
            map_hxw = (levels[image.replace("/", "__")] + 0.5) / 255
        ious.append(PROTOCOLS[protocol](map_hxw, truth.boxes[image], np.arange(0, 1, interval)))
    counts = expected["box"][f"{mode.replace('recorded levels', 'maps224')}/{protocol}/{interval}"]
    assert len(counts["num_correct"]) == 3
    for iou, correct_t in counts["num_correct"].items():
        assert (np.stack(ious) >= int(iou) / 100).sum(axis=0).tolist() == correct_t


def test_resized_maps_have_the_recorded_levels(case: tuple[Path, dict[str, Any]]) -> None:
    levels, differ = np.load(case[0] / "maps224_uint8.npz"), 0
    for name in levels.files:
        found = levels_of(prepared(read_score_map(case[0] / "scoremaps" / f"{name.replace('__', '/')}.npy")))
        differ += int((found != levels[name]).sum())
        np.testing.assert_allclose(found.astype(int), levels[name], atol=1)
    assert differ <= 5  # of 1.2 million pixels: builds of OpenCV round differently


@pytest.mark.parametrize("interval", [0.001, 0.01])
def test_histograms_of_pixels_are_those_of_the_original(case: tuple[Path, dict[str, Any]], interval: float) -> None:
    folder, expected = case
    truth = read_metadata(folder / "metadata" / "OpenImages" / "test")
    histograms = []
    for image in truth.ids:
        names, ignored = truth.masks[image]
        masks = folder / "masks" / "OpenImages"
        pixels = read_masks([masks / name for name in names], masks / ignored if ignored else None)
        sizes = [int(each.sum()) for each in pixels]
        assert [*sizes, 224 * 224 - sum(sizes)] == expected["pxap"]["pixels_positive_negative_ignored"][image]
        map_hxw = prepared(read_score_map(folder / "scoremaps" / f"{image}.npy"))
        histograms.append(pixel_histograms(map_hxw, pixels, np.arange(0, 1, interval)))
    pooled = np.sum(histograms, axis=0)
    assert pooled.tolist() == [expected["pxap"][str(interval)][f"hist_{kind}"] for kind in ("positive", "negative")]
    assert pixel_average_precision(pooled) * 100 == pytest.approx(expected["pxap"][str(interval)]["pxap_percent"], abs=1e-9)
