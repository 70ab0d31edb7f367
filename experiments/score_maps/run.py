"""Times the boxes of score maps at 1,000 thresholds beside a loop over the thresholds with OpenCV, as wsolevaluation has it.

IMGLOC_DATA=DATA python experiments/score_maps/run.py    # two minutes; DATA/wsol_case has the maps
python experiments/score_maps/run.py --table             # prints the saved table
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from imgloc import files
from imgloc.runs.provenance import describe_environment, git_commit
from imgloc.score_maps.localization import best_contour_ious, inclusive_ious, largest_contour_ious
from imgloc.score_maps.metadata import read_metadata
from imgloc.score_maps.reading import prepared, read_score_map
from imgloc.types import FloatArray, IntArray

RESULTS = Path(__file__).parent / "results.json"
THRESHOLDS = np.arange(0, 1, 0.001)
ROUNDS = 3
PROTOCOLS = {"v1": ("MaxBoxAcc", largest_contour_ious), "v2": ("MaxBoxAccV2", best_contour_ious)}
SMOOTH = ("blob", "two", "three", "off", "spike", "ring", "flat")  # kinds of maps in images.json


def plain_ious(map_hxw: FloatArray, truth_gx4: IntArray, largest: bool) -> FloatArray:
    """Returns the best IoU at each threshold: one search for contours per threshold."""
    image = (map_hxw * 255).astype(np.uint8)
    height, width = image.shape
    boxes: list[tuple[int, int, int, int]] = []
    counts = []
    for threshold in THRESHOLDS:
        _, above = cv2.threshold(image, int(threshold * image.max()), 255, cv2.THRESH_BINARY)
        contours: Sequence[np.ndarray] = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
        if contours and largest:
            contours = [max(contours, key=cv2.contourArea)]
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            boxes.append((x, y, min(x + w, width - 1), min(y + h, height - 1)))
        if not contours:
            boxes.append((0, 0, 0, 0))
        counts.append(max(len(contours), 1))
    iou_m = inclusive_ious(np.array(boxes), truth_gx4).max(axis=1)
    return np.maximum.reduceat(iou_m, np.cumsum(counts) - counts)


def milliseconds(function: Callable[[], FloatArray]) -> tuple[float, FloatArray]:
    """Returns the processor time of a call, and its result."""
    began = time.thread_time()
    result = function()
    return (time.thread_time() - began) * 1e3, result


def kind_of(kind: str, shape: Sequence[int]) -> str:
    """Returns the kind of a map in the table."""
    if kind in SMOOTH:
        return "smooth"
    return "with noise, " + ("224x224" if list(shape) == [224, 224] else "resized from at most 56x56")


def measure() -> None:
    """Times every map with both programs in turns, checks that they agree, and writes results.json."""
    cv2.setNumThreads(1)
    folder = Path(os.environ["IMGLOC_DATA"]) / "wsol_case"
    truth = read_metadata(folder / "metadata" / "ILSVRC" / "test")
    kinds = {each["id"]: kind_of(each["kind"], each["shape"]) for each in json.loads((folder / "images.json").read_text())}
    maps = {image: prepared(read_score_map(folder / "scoremaps" / f"{image}.npy")) for image in truth.ids}
    times: dict[tuple[str, str, str], list[float]] = {}
    for _ in range(ROUNDS):
        for image, map_hxw in maps.items():
            for key, (_, fast) in PROTOCOLS.items():
                plain_ms, plain_t = milliseconds(lambda m=map_hxw, i=image, k=key: plain_ious(m, truth.boxes[i], k == "v1"))
                fast_ms, fast_t = milliseconds(lambda m=map_hxw, i=image, f=fast: f(m, truth.boxes[i], THRESHOLDS))
                assert np.array_equal(plain_t, fast_t), f"{image} differs"
                times.setdefault((image, key, "plain"), []).append(plain_ms)
                times.setdefault((image, key, "imgloc"), []).append(fast_ms)
    found = [
        {
            "image": image, "kind": kinds[image],
            **{f"{key}_{who}": round(statistics.median(times[image, key, who]), 2) for key in PROTOCOLS for who in ("plain", "imgloc")},
        }
        for image in truth.ids
    ]  # fmt: skip
    where = describe_environment()
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "opencv-python-headless")}
    made = {**git_commit(), "machine": where["machine"], "python": where["python"], "packages": versions}
    files.write_json(RESULTS, {**made, "milliseconds": found})


def table() -> None:
    """Prints mean milliseconds a map, and the ratio of the sums."""
    results = json.loads(RESULTS.read_text())
    titles = [f"{title}: {who}" for title, _ in PROTOCOLS.values() for who in ("loop, ms", "imgloc, ms", "ratio")]
    print(f"| maps | number | {' | '.join(titles)} |\n|---|{'---|' * (len(titles) + 1)}")
    kinds = sorted({each["kind"] for each in results["milliseconds"]})
    groups = [(kind, [each for each in results["milliseconds"] if each["kind"] == kind]) for kind in kinds]
    for name, maps in (*groups, ("all", results["milliseconds"])):
        cells = []
        for key in PROTOCOLS:
            plain, fast = (statistics.mean(each[f"{key}_{who}"] for each in maps) for who in ("plain", "imgloc"))
            cells += [f"{plain:,.3g}" if plain < 1000 else f"{plain:,.0f}", f"{fast:,.3g}", f"{plain / fast:.0f}"]
        print(f"| {name} | {len(maps)} | {' | '.join(cells)} |")
    packages = ", ".join(f"{name} {version}" for name, version in results["packages"].items())
    print(f"\nCommit {results['commit'][:7]}; {results['machine']}; {packages}, Python {results['python']}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the saved table")
    if not parser.parse_args().table:
        measure()
    table()
