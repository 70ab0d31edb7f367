"""Score maps of a published EfficientNet-Lite0 on Tiny ImageNet: which method and which normalization locates best?

python experiments/published_maps/run.py --folder DIR    # DIR: where `imgloc data prepare tiny_imagenet` wrote; half an hour on two cores
python experiments/published_maps/run.py --table         # prints the saved table

Every map is that of the true class. `--archive` is the zip file of Tiny ImageNet, whose words.txt names the classes.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np

import imgloc
from imgloc import files
from imgloc.config import build
from imgloc.config.registry import declared
from imgloc.devices import runtime
from imgloc.evaluation import wsol
from imgloc.evaluation.statistics import BootstrapValues, bootstrap_weights, percentile_interval
from imgloc.explanation.method import Method
from imgloc.explanation.question import Question
from imgloc.explanation.targets import class_logit
from imgloc.nn.apply import apply_eval, as_inputs
from imgloc.pretrained.loading.imagenet import class_names
from imgloc.runs.provenance import describe_environment, git_commit
from imgloc.score_maps.levels import SIDE, normalized
from imgloc.score_maps.localization import inclusive_ious, largest_contour_ious, scaled_box
from imgloc.types import FloatArray, IntArray, Source

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
COUNT, BATCH, SAMPLES = 2000, 8, 2000
THRESHOLDS = np.arange(0, 1, 0.001)
METHODS = ("cam", "grad_cam", "grad_cam_plus_plus", "xgrad_cam", "layer_cam", "hires_cam", "eigen_cam")
#: Timed only: 10 to 200 times as costly as CAM, which has to be paid for each of the images.
COSTLY: dict[str, dict[str, int]] = {
    "gradient": {}, "gradient_times_input": {}, "guided_backpropagation": {}, "integrated_gradients": {"steps": 8},
    "score_cam": {"channels": 64}, "ablation_cam": {}, "rise": {"masks": 64},
}  # fmt: skip
BEST_FIXED = (4, 8, 60, 59)  # the median of the training boxes, pixels of 64, the last one included
TITLES = {
    "cam": "CAM", "grad_cam": "Grad-CAM", "grad_cam_plus_plus": "Grad-CAM++", "xgrad_cam": "XGrad-CAM", "layer_cam": "LayerCAM",
    "hires_cam": "HiResCAM", "eigen_cam": "Eigen-CAM", "gradient": "gradient", "gradient_times_input": "gradient x input",
    "guided_backpropagation": "guided backpropagation", "integrated_gradients": "integrated gradients", "score_cam": "Score-CAM",
    "ablation_cam": "Ablation-CAM", "rise": "RISE", "whole image": "whole image", "median box": "median box of training",
}  # fmt: skip


def percentile(map_hxw: FloatArray) -> FloatArray:
    """Returns a map from 0 to 1 of which the highest 5 % of the pixels are 1."""
    return np.asarray(np.minimum(normalized(map_hxw) / max(np.percentile(normalized(map_hxw), 95), 1e-12), 1.0))


#: From a map enlarged to 224x224 pixels to values from 0 to 1.
NORMALIZATIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "range": normalized,
    "positive": lambda map_hxw: normalized(np.maximum(map_hxw, 0.0)),
    "95th percentile": percentile,
}


def class_indices(archive: Path) -> list[int]:
    """Returns the index in ImageNet of each class of Tiny ImageNet, in the order of the WordNet ids, which is that of the labels.

    Names are compared; those that two classes share are resolved by ImageNet's order, which is that of the ids too.
    """
    with zipfile.ZipFile(archive) as content:
        ids = sorted(content.read("tiny-imagenet-200/wnids.txt").decode().split())
        words = dict(line.split("\t") for line in content.read("tiny-imagenet-200/words.txt").decode().splitlines())
    names = [name.lower() for name in class_names(1000)]
    synonyms = {each: [word.strip() for word in words[each].lower().split(",")] for each in ids}
    found = {each: [index for index, name in enumerate(names) if name in synonyms[each]] for each in ids}
    indices = [-1]
    for place, each in enumerate(ids):
        following = next((found[later][0] for later in ids[place + 1 :] if len(found[later]) == 1), len(names))
        indices.append(next(index for index in found[each] if indices[-1] < index < following))
    return indices[1:]


def images_of(source: Source, indices: Sequence[int]) -> Iterator[tuple[IntArray, int, IntArray]]:
    """Yields COUNT examples spread over the split: the image enlarged to 224x224, its class in ImageNet, and its box in pixels."""
    for index in np.linspace(0, len(source) - 1, COUNT).round().astype(int).tolist():
        example = source[index]
        image = cv2.resize(example.image_hxwxc, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        image = np.repeat(image.reshape(SIDE, SIDE, -1), 3, axis=2) if image.size == SIDE * SIDE else image
        x0, y0, x1, y1 = (np.asarray(example.boxes_nx4[0]) * 64).round().astype(int).tolist()
        box = np.array([scaled_box(np.array([x0, y0, x1 - 1, y1 - 1]), 64, 64, SIDE)])
        yield image, indices[example.label], box


def make_maps(name: str, options: dict[str, int]) -> Callable[[IntArray, IntArray], jax.Array]:
    """Returns a compiled function of images (b, h, w, c) and classes (b,) to raw maps (b, h', w')."""
    method, trained = declared("explanation.methods", name, Method), imgloc.load("efficientnet_lite0")
    apply = functools.partial(apply_eval, model=trained.module)

    @functools.partial(jax.jit, compiler_options=runtime.compiler_options())
    def explain(variables: object, images: jax.Array, label_b: jax.Array) -> jax.Array:
        question = Question(apply, variables, class_logit, label_b[:, None])
        raw = method.function(question, as_inputs(images, jnp.float32), jax.random.key(0), **options)
        return jnp.abs(raw) if method.signed else raw

    return functools.partial(explain, trained.variables)


def timed(maps: Callable[[IntArray, IntArray], jax.Array], images: IntArray, labels: IntArray) -> tuple[FloatArray, float]:
    """Returns the maps of a batch and the milliseconds of processor time for each."""
    began = time.process_time()
    found = np.asarray(maps(images, labels), np.float64)
    return found, (time.process_time() - began) * 1e3 / len(images)


def reached(examples: Sequence[tuple[IntArray, int, IntArray]], name: str) -> tuple[dict[str, IntArray], list[float]]:
    """Returns how many IoUs the box of each image reaches at each threshold, by normalization, and the times of all batches but one."""
    maps, rows, times = make_maps(name, {}), {key: [] for key in NORMALIZATIONS}, []
    for start in range(0, len(examples), BATCH):
        images, labels, boxes = zip(*examples[start : start + BATCH], strict=True)
        found, milliseconds = timed(maps, np.stack(images), np.array(labels))
        times.append(milliseconds)
        for map_hxw, box in zip(found, boxes, strict=True):
            large = np.asarray(cv2.resize(map_hxw, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))
            for key, normalize in NORMALIZATIONS.items():
                rows[key].append(wsol.ious_reached(largest_contour_ious(normalize(large), box, THRESHOLDS)))
    return {key: np.stack(each) for key, each in rows.items()}, times[1:]


def summary(values: dict[str, BootstrapValues], control: dict[str, BootstrapValues] | None) -> dict[str, list[float]]:
    """Returns the value and the interval of each metric, and of its difference from `control`."""

    def numbers(value: BootstrapValues) -> list[float]:
        interval = percentile_interval(value)
        return [round(each, 5) for each in (interval.mean, interval.low, interval.high)]

    found = {key: numbers(value) for key, value in values.items()}
    for key, value in values.items() if control else ():
        other = control[key]
        found[f"{key}_difference"] = numbers(BootstrapValues(value.whole - other.whole, value.value_r - other.value_r, value.n))
    return found


def measure(folder: str, archive: Path) -> None:
    """Scores every method and normalization, times every method, and writes results.json after each."""
    runtime.prepare()
    config = imgloc.load_config("tiny_imagenet_from_labels", **{"data.options.folder": folder})
    examples = list(images_of(build.make_source(config.data, "test", config.seed), class_indices(archive)))
    weights_rxn = bootstrap_weights([str(i) for i in range(len(examples))], samples=SAMPLES, seed=0)
    weights = weights_rxn[0][:, weights_rxn[1]]
    share = functools.partial(wsol.best_shares, "max_box_acc", weights_rxn=weights)
    rows: dict[str, dict[str, object]] = {}
    for name, fixed in {"whole image": (0, 0, 63, 63), "median box": BEST_FIXED}.items():
        box = np.array([scaled_box(np.array(fixed), 64, 64, SIDE)])
        iou_n = np.array([inclusive_ious(box, truth).max() for _, _, truth in examples])
        rows[name] = {"": summary(share(wsol.ious_reached(iou_n)[:, None]), None)}
    control: dict[str, BootstrapValues] | None = None
    milliseconds: dict[str, float] = {}
    for name in METHODS:
        counts, times = reached(examples, name)
        values = {key: share(each) for key, each in counts.items()}
        control = control or values["range"]
        rows[name] = {key: summary(each, control) for key, each in values.items()}
        milliseconds[name] = round(statistics.median(times), 1)
        _write(rows, milliseconds)
    for name, options in COSTLY.items():
        images, labels, _ = zip(*examples[:BATCH], strict=True)
        maps = make_maps(name, options)
        milliseconds[name] = round(statistics.median([timed(maps, np.stack(images), np.array(labels))[1] for _ in range(3)][1:]), 1)
        _write(rows, milliseconds)


def _write(rows: dict[str, dict[str, object]], milliseconds: dict[str, float]) -> None:
    where = describe_environment()
    made = {**git_commit(), "machine": where["machine"], "python": where["python"]}
    files.write_json(RESULTS, {**made, "images": COUNT, "rows": rows, "milliseconds": milliseconds})


def table() -> None:
    """Prints the scores of each method and normalization, then the times."""
    results = json.loads(RESULTS.read_text())
    print("| method | normalization | IoU .3 | IoU .5 | IoU .7 | mean | difference from CAM |\n|---|---|---|---|---|---|---|")
    for name, by_normalization in results["rows"].items():
        for key, values in by_normalization.items():
            cells = [_cell(values[f"max_box_acc_{metric}"]) for metric in (*wsol.IOUS, "mean")]
            difference = values.get("max_box_acc_mean_difference")
            is_control = (name, key) == ("cam", "range")
            print(f"| {TITLES[name]} | {key} | {' | '.join(cells)} | {_cell(difference) if difference and not is_control else ''} |")
    print("\n| method | milliseconds of processor time a map |\n|---|---|")
    for name, value in results["milliseconds"].items():
        options = ", ".join(f"{key} {number}" for key, number in COSTLY.get(name, {}).items())
        print(f"| {TITLES[name]}{f', {options}' if options else ''} | {value:,.0f} |")
    print(f"\nCommit {results['commit'][:7]}; {results['images']:,} images; {results['machine']}; Python {results['python']}.")


def _cell(values: Sequence[float]) -> str:
    value, low, high = (f"{100 * each:.1f}" for each in values)
    return f"{value} ({low} to {high})"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", action="store_true", help="print the saved table")
    parser.add_argument("--folder", help="the folder of prepared data")
    parser.add_argument("--archive", type=Path, help="the zip file of Tiny ImageNet")
    options = parser.parse_args()
    if not options.table:
        if options.folder is None or options.archive is None:
            parser.error("--folder and --archive are required")
        measure(options.folder, options.archive)
    table()
