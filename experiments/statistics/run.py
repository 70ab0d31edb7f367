"""Simulates what `imgloc compare` states: how often intervals cover the truth, and how many reported differences are false positives.

python experiments/statistics/run.py            # ten minutes of two cores
python experiments/statistics/run.py --table    # prints the saved tables
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import multiprocessing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imgloc import files
from imgloc.config.registry import declared
from imgloc.evaluation.group_comparison import compare_groups
from imgloc.evaluation.statistics import BootstrapValues, Interval, percentile_interval, t_interval
from imgloc.evaluation.variances import RunValues, difference_over_both, difference_over_seeds, level
from imgloc.interfaces import Task
from imgloc.runs.provenance import describe_environment, git_commit
from imgloc.types import FloatArray, Row

RESULTS = Path(__file__).parent / "results.json"
SIMULATIONS = 2000
SAMPLES = 1000  # of a bootstrap
PERMUTATIONS = 500
PROCESSES = 3
IMAGE_DEVIATION = {"continuous": 0.3, "binary": 1.2}  # of an image, common to all runs
CENTER = {"continuous": 0.6, "binary": 1.2}
SEED_DEVIATION = {"continuous": 0.02, "binary": 0.15}  # of a run
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
INTERVALS = {
    "images": "value, other images: percentile bootstrap",
    "seeds": "value, other seeds: t interval",
    "both": "value, both: variances of seeds and images",
    "hierarchical": "value, both: hierarchical bootstrap (not used)",
    "difference, images": "difference, other images: paired percentile bootstrap",
    "difference, seeds": "difference, other seeds: Welch",
    "difference, both": "difference, both: variances of seeds and images",
}
TESTS = {"images": "images: permutation", "seeds": "seeds: t test", "both": "both: t test"}


def mean_of(kind: str, center: FloatArray | float, deviation: float) -> FloatArray:
    """Returns the expected value of a row [...] whose logit or value has a mean [...] and a normal deviation."""
    if kind == "continuous":
        return np.asarray(center)
    return np.asarray((WEIGHTS / (1 + np.exp(-(np.asarray(center)[..., None] + deviation * NODES)))).sum(axis=-1))


def drawn(kind: str, image_n: FloatArray, runs: int, generator: np.random.Generator, deviation: float) -> tuple[FloatArray, FloatArray]:
    """Returns rows [k, n] of runs on images with effects [n], and the effects of the runs [k]."""
    run_k = deviation * generator.standard_normal(runs)
    center_kxn = CENTER[kind] + run_k[:, None] + image_n
    if kind == "continuous":
        return center_kxn + 0.2 * (generator.exponential(size=center_kxn.shape) - 1), run_k
    return (generator.random(center_kxn.shape) < 1 / (1 + np.exp(-center_kxn))).astype(np.float64), run_k


def covered(setting: tuple[str, int, int]) -> dict[str, Any]:
    """Returns the share of simulations in which each interval covers its truth."""
    kind, runs, images = setting
    generator = np.random.default_rng([runs, images, kind == "binary"])
    weight_rxn = generator.multinomial(images, np.full(images, 1 / images), size=SAMPLES) / images
    within = dict.fromkeys(INTERVALS, 0)
    seed, image = SEED_DEVIATION[kind], IMAGE_DEVIATION[kind]
    both = float(mean_of(kind, CENTER[kind], np.hypot(seed, image)))
    for _ in range(SIMULATIONS):
        image_n = image * generator.standard_normal(images)
        (a_kxn, a_k), (b_kxn, b_k) = (drawn(kind, image_n, runs, generator, seed) for _ in range(2))
        a, b = (RunValues(each.mean(axis=1), each @ weight_rxn.T, images) for each in (a_kxn, b_kxn))
        of_images = [float(mean_of(kind, CENTER[kind] + run_k, image).mean()) for run_k in (a_k, b_k)]
        of_seeds = float(mean_of(kind, CENTER[kind] + image_n, seed).mean())
        found = intervals(a, b, generator)
        truths = {
            "images": of_images[0],
            "seeds": of_seeds,
            "both": both,
            "hierarchical": both,
            "difference, images": of_images[1] - of_images[0],
        }
        for name, interval in found.items():
            within[name] += interval.low <= truths.get(name, 0.0) <= interval.high
    return {"rows": kind, "seeds": runs, "images": images, "covered": {name: count / SIMULATIONS for name, count in within.items()}}


def intervals(a: RunValues, b: RunValues, generator: np.random.Generator) -> dict[str, Interval]:
    """Returns the intervals of the first group and of the difference of both."""
    runs, images = len(a.whole_k), a.groups
    drawn_rxk = generator.integers(runs, size=(a.value_kxr.shape[1], runs))
    resampled_r = a.value_kxr[drawn_rxk, np.arange(len(drawn_rxk))[:, None]].mean(axis=1)
    value, difference = float(a.whole_k.mean()), float(b.whole_k.mean() - a.whole_k.mean())
    found = {
        "images": percentile_interval(BootstrapValues(value, a.value_kxr.mean(axis=0), images, images)),
        "seeds": t_interval(a.whole_k.tolist()),
        "both": level(a, images),
        "hierarchical": percentile_interval(BootstrapValues(value, resampled_r, images)),
        "difference, images": percentile_interval(BootstrapValues(difference, b.value_kxr.mean(axis=0) - a.value_kxr.mean(axis=0), images)),
    }
    for name, error in (("seeds", difference_over_seeds(a, b)), ("both", difference_over_both(a, b))):
        found[f"difference, {name}"] = Interval(difference, difference - error.half_width, difference + error.half_width, images)
    return found


def rows_of(correct_kxn: FloatArray) -> list[list[Row]]:
    """Returns the rows of runs that name the class of an image or not."""
    same: Row = {"split": "test", "label": 0}
    return [
        [{**same, "id": f"{i:04d}", "group": f"{i:04d}", "top_labels": [0 if right else 1]} for i, right in enumerate(run_n)]
        for run_n in correct_kxn.tolist()
    ]


def false_positives(setting: tuple[bool, int, int]) -> dict[str, Any]:
    """Returns the share of simulations in which `compare` shows a difference of two groups that are drawn in the same way."""
    seeds_vary, runs, images = setting
    generator = np.random.default_rng([7, seeds_vary, runs, images])
    deviation = SEED_DEVIATION["binary"] if seeds_vary else 0.0
    task = declared("tasks", "classify", Task)
    shown = dict.fromkeys(TESTS, 0)
    for _ in range(SIMULATIONS):
        image_n = IMAGE_DEVIATION["binary"] * generator.standard_normal(images)
        groups = {name: rows_of(drawn("binary", image_n, runs, generator, deviation)[0]) for name in "ab"}
        tests = compare_groups(groups, ("yes", "no"), task, ["top1"], samples=PERMUTATIONS).differences["top1"]["b"].tests
        for kind in TESTS:
            shown[kind] += kind in tests and tests[kind].p_corrected < 0.05
    return {
        "seeds_vary": seeds_vary,
        "seeds": runs,
        "images": images,
        "shown": {kind: count / SIMULATIONS for kind, count in shown.items()},
    }


def measure() -> None:
    """Runs all simulations and writes results.json."""
    coverages = list(itertools.product(("continuous", "binary"), (3, 5), (200, 2000)))
    tests = list(itertools.product((True, False), (3, 5), (200,)))
    with multiprocessing.Pool(PROCESSES) as pool:
        positives = [pool.apply_async(false_positives, [setting]) for setting in tests]
        coverage = [pool.apply_async(covered, [setting]) for setting in coverages]
        found = {"coverage": [each.get() for each in coverage], "false_positives": [each.get() for each in positives]}
    packages = {name: importlib.metadata.version(name) for name in ("numpy", "scipy")}
    where = describe_environment()
    made = {**git_commit(), "machine": where["machine"], "python": where["python"], "packages": packages}
    files.write_json(RESULTS, {**made, "simulations": SIMULATIONS, **found})


def tables(results: Mapping[str, Any]) -> Iterator[str]:
    """Yields the lines of both tables, in per cent."""
    settings = [f"{each['rows']}, {each['seeds']} seeds, {each['images']:,} images" for each in results["coverage"]]
    yield f"| interval | {' | '.join(settings)} |"
    yield f"|---|{'---|' * len(settings)}"
    for name, title in INTERVALS.items():
        yield f"| {title} | {' | '.join(f'''{100 * each['covered'][name]:.1f}''' for each in results['coverage'])} |"
    yield ""
    yield f"| two equal groups | {' | '.join(TESTS.values())} |"
    yield f"|---|{'---|' * len(TESTS)}"
    for each in results["false_positives"]:
        title = f"{each['seeds']} runs each, {each['images']} images, {'seeds vary' if each['seeds_vary'] else 'all runs equally good'}"
        yield f"| {title} | {' | '.join(f'''{100 * each['shown'][kind]:.1f}''' for kind in TESTS)} |"
    packages = ", ".join(f"{name} {version}" for name, version in results["packages"].items())
    yield f"\nCommit {results['commit'][:7]}; {results['machine']}; {packages}, Python {results['python']}."


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the saved tables")
    if not parser.parse_args().table:
        measure()
    print("\n".join(tables(files.read_json(RESULTS))))
