from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from imgloc.data import summary
from imgloc.data.sources import folder, mnist, scattered_digits
from imgloc.errors import UnreadableImage
from imgloc.evaluation.baselines import median_box
from imgloc.types import Example, Info, Truth
from tests import planted_faults


@dataclass(frozen=True)
class KnownBoxes:
    """A `TruthKnown` source without images. Boxes are inclusive pixel indices; None is an unreadable image."""

    boxes: Sequence[Sequence[Sequence[int]] | None]
    sizes: Sequence[tuple[int, int]]
    fingerprint: str = ""
    groups: frozenset[str] = frozenset()

    @property
    def info(self) -> Info:
        return Info(("a", "b"), 3)

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, index: int) -> Example:
        raise AssertionError("an image was decoded")

    def known(self, index: int) -> Truth:
        if self.boxes[index] is None:
            raise UnreadableImage(str(index))
        width, height = self.sizes[index]
        edges = np.array(self.boxes[index], np.float64).reshape(-1, 4) + np.array([0, 0, 1, 1])
        shares = (edges / [width, height, width, height]).astype(np.float32)
        return Truth(shares, np.arange(len(shares)) % 2, 0, str(index), width, height)


def exact_scores(source: KnownBoxes, box: Sequence[Fraction]) -> tuple[list[int], list[Fraction]]:
    """The number of images whose largest box has an IoU of at least .3, .5 and .7 with a box in [0, 1], and all these IoUs, exactly."""
    hits, ious = [0, 0, 0], []
    for pixel_boxes, (width, height) in zip(source.boxes, source.sizes, strict=True):
        if not pixel_boxes:
            continue
        x0, y0, x1, y1 = max(pixel_boxes, key=lambda b: (b[2] - b[0] + 1) * (b[3] - b[1] + 1))
        p0, q0, p1, q1 = box[0] * width, box[1] * height, box[2] * width, box[3] * height
        overlap = max(Fraction(0), min(p1, Fraction(x1 + 1)) - max(p0, Fraction(x0)))
        overlap *= max(Fraction(0), min(q1, Fraction(y1 + 1)) - max(q0, Fraction(y0)))
        iou = overlap / ((p1 - p0) * (q1 - q0) + (x1 + 1 - x0) * (y1 + 1 - y0) - overlap)
        ious.append(iou)
        hits = [hit + (iou >= Fraction(t, 10)) for hit, t in zip(hits, (3, 5, 7), strict=True)]
    return hits, ious


def random_source(seed: int, count: int = 1500) -> KnownBoxes:
    """Images of ten by ten units of various sizes, so that many IoUs equal a threshold exactly."""
    rng = np.random.default_rng(seed)
    sizes, boxes = [], []
    for _ in range(count):
        width, height = (int(10 * n) for n in rng.integers(1, 40, 2))
        low = rng.integers(0, 5, 2)
        far = low + rng.integers(1, 11 - low)
        unit = np.array([width, height, width, height]) // 10
        edges = np.concatenate([low, far]) * unit
        boxes.append([[*(int(e) for e in edges[:2]), int(edges[2]) - 1, int(edges[3]) - 1]])
        sizes.append((width, height))
    return KnownBoxes(boxes, sizes)


def test_scores_of_fixed_boxes_are_exact_at_thresholds() -> None:
    source = random_source(0)
    split = summary.collect_truths("test", source)
    for box in ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0]):
        hits, ious = exact_scores(source, [Fraction(edge) for edge in box])
        assert sum(iou in (Fraction(3, 10), Fraction(1, 2), Fraction(7, 10)) for iou in ious) >= 20
        scores = summary.fixed_box_scores(split, np.array(box))["largest"]
        assert [round(scores[f"iou_{t}"] * len(ious)) for t in (30, 50, 70)] == hits
        assert scores["mean"] == pytest.approx(float(sum(ious) / len(ious)), abs=1e-12)


def test_images_with_several_boxes_without_boxes_and_unreadable_ones() -> None:
    source = KnownBoxes([[[0, 0, 4, 9], [0, 0, 9, 9]], [], None, [[0, 0, 0, 0], [2, 2, 3, 3], [9, 9, 9, 9]]], [(10, 10)] * 4)
    split = summary.collect_truths("train", source)
    assert (len(split.label_n), split.unreadable, split.whole, split.largest_n.tolist()) == (3, 1, 4, [1, -1, 3])
    scores = summary.fixed_box_scores(split, np.array([0, 0, 0.5, 1.0]))
    assert scores["largest"]["mean"] == pytest.approx((0.5 + 4 / 50) / 2)
    assert scores["any"]["mean"] == pytest.approx((1.0 + 4 / 50) / 2)
    assert summary.median_box([split]).tolist() == pytest.approx([0.1, 0.1, 0.7, 0.7])  # type: ignore[union-attr]
    values = summary.statistics(split)
    assert (values["images"], values["of"], values["unreadable"], values["boxes"]) == (3, 4, 1, 5)
    assert values["boxes_per_image"] == {"0": 1, "2": 1, "3": 1}
    assert values["box_sizes"] == {"small": 3, "medium": 0, "large": 2}
    assert values["at_edge"] == 4
    assert values["width"]["50%"] == 10


def test_a_class_counts_the_images_that_contain_it_and_those_whose_own_class_it_is() -> None:
    box, other = [0, 0, 4, 9], [5, 0, 9, 9]
    source = KnownBoxes([[box, other], [box, other, box], [box], []], [(10, 10)] * 4)  # the classes of the boxes are a, b, a
    a, b = summary.class_counts(summary.collect_truths("train", source))
    assert a == ("a", 4, 4, 4)  # every image has the label a, also the one without a box
    assert b == ("b", 2, 0, 2)


def test_a_split_without_boxes_has_no_median_and_no_scores() -> None:
    split = summary.collect_truths("train", mnist.source("validation", seed=0))
    assert summary.median_box([split]) is None
    assert summary.fixed_box_scores(split, np.array([0, 0, 1.0, 1.0])) == {}
    values = summary.statistics(split)
    assert (values["images"], values["boxes"]) == (400, 0)
    assert values["height"]["most"] == 28
    assert sum(entry["images"] for entry in values["classes"]) == 400


def test_the_coverage_map() -> None:
    share = summary.coverage(np.array([[0, 0, 0.5, 1], [0, 0.5, 1, 1]]), rows=2, columns=2)
    assert share.tolist() == [[0.5, 0], [1, 0.5]]


def test_headers_have_the_truth_of_the_examples(tmp_path: Path) -> None:
    planted_faults.write(planted_faults.clean(3), tmp_path, "coco")
    source = folder.source("train", seed=0, folder=str(tmp_path))
    for index in range(len(source)):
        example, truth = source[index], source.known(index)
        assert (truth.height, truth.width) == example.image_hxwxc.shape[:2]
        assert (truth.id, truth.label, truth.labels_n.tolist()) == (example.id, example.label, example.labels_n.tolist())
        np.testing.assert_array_equal(truth.boxes_nx4, example.boxes_nx4)


def test_an_endless_source_is_summarized_from_its_first_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imgloc.data.batches.pipeline.SAMPLE", 50)
    source = scattered_digits.source("train", seed=0)
    split = summary.collect_truths("train", source)
    examples = [source[index] for index in range(50)]
    fitted = median_box.BASELINE.fit([Truth(e.boxes_nx4, e.labels_n, e.label, e.id) for e in examples], 10)
    assert [counts.images for counts in summary.class_counts(split)] == fitted["class_counts"]
    np.testing.assert_allclose(summary.median_box([split]), fitted["box"], atol=1e-6)


def test_baselines_of_tiny_imagenet_equal_an_independent_count(data_folder: Path) -> None:
    """Boxes from the text files of the archive, inclusive pixels from 0 to 63, against a count by NumPy on integers."""
    archive = zipfile.ZipFile(data_folder / "tiny-imagenet" / "tiny-imagenet-200-sub100.zip")
    names = [name for name in archive.namelist() if name.endswith(("_boxes.txt", "val_annotations.txt"))]
    lines = {name: archive.read(name).decode().splitlines() for name in names}
    boxes = {name: [[list(map(int, line.split("\t")[-4:]))] for line in rows] for name, rows in lines.items()}
    (val,) = (images for name, images in boxes.items() if name.endswith("val_annotations.txt"))
    train = [image for name, images in boxes.items() if name.endswith("_boxes.txt") for image in images]
    assert (len(train), len(val)) == (20_000, 10_000)
    train_split = summary.collect_truths("train", KnownBoxes(train, [(64, 64)] * len(train)))
    val_split = summary.collect_truths("test", KnownBoxes(val, [(64, 64)] * len(val)))
    median = summary.median_box([train_split])
    assert median is not None
    assert (median * 64 - [0, 0, 1, 1]).tolist() == [4, 8, 60, 60]
    for box, expected in ((np.array([0.0, 0, 1, 1]), (69.72, 52.11, 34.19)), (median, (73.65, 56.70, 36.83))):
        scores = summary.fixed_box_scores(val_split, box)
        assert scores["largest"] == scores["any"]
        assert [round(100 * scores["largest"][f"iou_{t}"], 4) for t in (30, 50, 70)] == list(expected)
