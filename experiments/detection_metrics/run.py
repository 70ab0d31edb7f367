"""Times COCO's numbers and their bootstrap on files of the size of COCO's validation split, beside pycocotools and hotcoco.

python experiments/detection_metrics/run.py            # five minutes; needs pycocotools (extra `test`) and hotcoco (extra `bench`)
python experiments/detection_metrics/run.py --table    # prints the saved table
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from imgloc import files
from imgloc.evaluation import scoring
from imgloc.evaluation.coco_files import read_rows, read_truth
from imgloc.evaluation.metrics import average_precision, detection_at_threshold, detection_errors, voc_average_precision
from imgloc.evaluation.paired import compare
from imgloc.runs.provenance import describe_environment, git_commit

RESULTS = Path(__file__).parent / "results.json"
IMAGES, DETECTIONS, OBJECTS, CLASSES = 5000, 36_000, 36_000, 80
ROUNDS, SAMPLES = 5, 1000
METRICS = sum(
    len(module.METRICS.metrics) for module in (average_precision, detection_at_threshold, detection_errors, voc_average_precision)
)
WORKS = {
    "numbers": "12 numbers of COCO, files to numbers",
    "loaded": "12 numbers of COCO, files already read",
    "coco": f"{SAMPLES:,} samples of two runs, 12 numbers of COCO (imgloc: and 4 of each class)",
    "all": f"{SAMPLES:,} samples of one run, all {METRICS} metrics and 6 of each class",
    "paired": f"{SAMPLES:,} samples of two runs and of their differences, all {METRICS} metrics and 6 of each class",
}


def make_files(folder: Path, seed: int = 0) -> tuple[Path, Path, Path]:
    """Writes an instances file and two result files, and returns their paths. Classes are of very different frequency, as in COCO."""
    rng = np.random.default_rng(seed)
    share_k = rng.dirichlet(np.full(CLASSES, 0.5))
    image_g, class_g = np.sort(rng.integers(0, IMAGES, OBJECTS)), rng.choice(CLASSES, OBJECTS, p=share_k)
    size_gx2 = np.clip(np.exp(rng.normal(4, 1, (OBJECTS, 2))), 2, 400)
    box_gx4 = np.concatenate([rng.random((OBJECTS, 2)) * np.maximum(np.array([640, 480]) - size_gx2, 1), size_gx2], axis=1).round(2)
    crowd_g = rng.random(OBJECTS) < 0.01
    truth = {
        "images": [{"id": i + 1, "width": 640, "height": 480, "file_name": f"{i}.jpg"} for i in range(IMAGES)],
        "categories": [{"id": k + 1, "name": f"class {k}"} for k in range(CLASSES)],
        "annotations": [
            {
                "id": g + 1, "image_id": int(image_g[g]) + 1, "category_id": int(class_g[g]) + 1, "bbox": box_gx4[g].tolist(),
                "area": round(float(box_gx4[g, 2] * box_gx4[g, 3]), 2), "iscrowd": int(crowd_g[g]),
            }
            for g in range(OBJECTS)
        ],
    }  # fmt: skip
    near_d, far_d = rng.integers(0, OBJECTS, DETECTIONS), rng.random(DETECTIONS) < 0.3
    box_dx4 = box_gx4[near_d].copy()
    box_dx4[:, :2] += rng.normal(0, 0.08, (DETECTIONS, 2)) * box_dx4[:, 2:]
    box_dx4[far_d, :2] = rng.random((int(far_d.sum()), 2)) * [320, 240]
    class_d = np.where(rng.random(DETECTIONS) < 0.85, class_g[near_d], rng.choice(CLASSES, DETECTIONS, p=share_k))
    score_d = np.where(far_d, rng.beta(2, 5, DETECTIONS), rng.beta(4, 2, DETECTIONS)).round(3)
    moved_dx4 = box_dx4 + rng.normal(0, 2, (DETECTIONS, 1)) * [1, 1, 0, 0]
    paths = folder / "instances.json", folder / "first.json", folder / "second.json"
    files.write_json(paths[0], truth)
    for path, each_dx4 in zip(paths[1:], (box_dx4, moved_dx4), strict=True):
        entries = zip(image_g[near_d].tolist(), class_d.tolist(), each_dx4.round(2).tolist(), score_d.tolist(), strict=True)
        files.write_json(path, [{"image_id": i + 1, "category_id": k + 1, "bbox": box, "score": score} for i, k, box, score in entries])
    return paths


def seconds(function: Callable[[], Any]) -> float:
    """Returns the seconds of a call, which prints nothing."""
    began = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        function()
    return time.perf_counter() - began


def medians(functions: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Returns the median seconds of each function over interleaved rounds."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(ROUNDS):
        for name, function in functions.items():
            times[name].append(seconds(function))
    return {name: round(statistics.median(each), 3) for name, each in times.items()}


def measure() -> None:
    """Times all works in one process and writes results.json."""
    import hotcoco
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def evaluated(module: Any, evaluation: Any, truth: Any, found: Any) -> Any:
        done = evaluation(truth, found, "bbox")
        for step in (done.evaluate, done.accumulate, done.summarize):
            step()
        return done

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        instances, *runs = map(str, make_files(Path(folder)))
        coco, hot = COCO(instances), hotcoco.COCO(instances)
        coco_found, hot_found = coco.loadRes(runs[0]), [hot.load_res(run) for run in runs]
        truth = read_truth(Path(instances))
        rows = [read_rows(Path(run), truth) for run in runs]
        hot_runs = [evaluated(hotcoco, hotcoco.COCOeval, hot, found) for found in hot_found]
        ones = np.ones((1, IMAGES))

        def from_files() -> Any:
            content = read_truth(Path(instances))
            return average_precision.weighted(read_rows(Path(runs[0]), content)).values(ones)

        def from_files_by(make: Any, evaluation: Any, load: str) -> Any:
            content = make(instances)
            return evaluated(make, evaluation, content, getattr(content, load)(runs[0]))

        times = {
            "numbers": medians({
                "pycocotools": lambda: from_files_by(COCO, COCOeval, "loadRes"),
                "hotcoco": lambda: from_files_by(hotcoco.COCO, hotcoco.COCOeval, "load_res"), "imgloc": from_files,
            }),
            "loaded": medians({
                "pycocotools": lambda: evaluated(COCO, COCOeval, coco, coco_found),
                "hotcoco": lambda: evaluated(hotcoco, hotcoco.COCOeval, hot, hot_found[0]),
                "imgloc": lambda: average_precision.weighted(rows[0]).values(ones),
            }),
            "coco": {
                "hotcoco": round(seconds(lambda: hotcoco.compare(*hot_runs, n_bootstrap=SAMPLES)), 1),
                "imgloc": round(seconds(lambda: [samples_of_coco(each) for each in rows]), 1),
            },
            "all": {"imgloc": round(seconds(lambda: scoring.intervals(rows[0], truth.classes, None, samples=SAMPLES)), 1)},
            "paired": {"imgloc": round(seconds(lambda: compare(*rows, truth.classes, None, samples=SAMPLES)), 1)},
        }  # fmt: skip
    versions = {name: importlib.metadata.version(name) for name in ("pycocotools", "hotcoco", "numpy")}
    where = describe_environment()
    files.write_json(
        RESULTS, {**git_commit(), "machine": where["machine"], "python": where["python"], "packages": versions, "seconds": times}
    )


def samples_of_coco(rows: list[dict[str, Any]]) -> Any:
    """Returns the values of the metrics of COCO in all samples, computed by as many threads as imgloc uses."""
    weights = np.random.default_rng(0).multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=SAMPLES).astype(np.float64)
    prepared = average_precision.weighted(rows)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(prepared.values, np.array_split(weights, SAMPLES // 50)))


def table() -> None:
    """Prints the saved times and the ratio to those of imgloc."""
    results = json.loads(RESULTS.read_text())
    print("| seconds | pycocotools | hotcoco | imgloc |\n|---|---|---|---|")
    for work, title in WORKS.items():
        own = results["seconds"][work]["imgloc"]
        cells = [
            f"{each:g} ({each / own:.2g} times imgloc's)" if (each := results["seconds"][work].get(name)) is not None else ""
            for name in ("pycocotools", "hotcoco")
        ]
        print(f"| {title} | {' | '.join(cells)} | {own:g} |")
    packages = ", ".join(f"{name} {version}" for name, version in results["packages"].items())
    print(f"\nCommit {results['commit'][:7]}; {results['machine']}; {packages}, Python {results['python']}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the saved table")
    if not parser.parse_args().table:
        measure()
    table()
