"""imgloc data stats"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from imgloc.cli import data_choice

HELP = "print statistics of a data set, and the scores of fixed boxes on it"
EXAMPLES = """\
The baselines are the box of the whole image and the median box: the median of each edge over the largest box of each
training image. Each is scored against the largest object of an image, and against the object with the highest IoU.

examples:
  imgloc data stats photos/
  imgloc data stats --config digits_cnn --split test --json

exit codes: 0 printed; 1 a file cannot be read; 2 a mistake in the command or data that cannot be read
"""
SHOWN = 5  # the number of most and least frequent classes to print, if there are more than twice as many
SHADES = " .:-=+*#%@"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    data_choice.add_arguments(parser)
    parser.add_argument(
        "--median-of", default="train", metavar="SPLITS", help="splits of the median box, such as train+validation (default: train)"
    )
    parser.add_argument("--json", action="store_true", help="print all statistics as JSON")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Prints the statistics of each split."""
    splits = data_choice.parse_splits(parsed.split)
    median_splits = [part for name in parsed.median_of.split("+") for part in data_choice.parse_splits(name.strip())]
    config = data_choice.read_config(parsed, rest)
    from imgloc.api.data import summarize_data, title
    from imgloc.training.data_faults import learns_all_objects

    found = summarize_data(config, splits, median_of=median_splits)
    values, boxes = found["splits"], found.pop("boxes")
    if parsed.json:
        print(json.dumps({"data": title(config), **found}, indent=2))
        return 0
    print(f"data: {title(config)}")
    for name in splits:
        print()
        if name not in values:
            print(f"{name}: not available: {found['missing'][name]}")
            continue
        task = data_choice.task_of(parsed, config)
        print("\n".join(format_split(name, values[name], image_labels=not (task and learns_all_objects(task)))))
        if line := objects_line(name, values[name], task, config.data.max_objects):
            print(f"  {line}")
    print()
    print("\n".join(format_baselines(values, boxes, "+".join(median_splits))))
    return 0


def objects_line(name: str, values: Mapping[str, Any], task: str, max_objects: int) -> str:
    """A line on the images of a split with several objects; "" if there is nothing to note."""
    from imgloc.training.data_faults import learns_all_objects, objects_left_out, several_objects

    histogram = {int(boxes): count for boxes, count in values["boxes_per_image"].items()}
    if task and learns_all_objects(task):
        counts_n = np.repeat(np.array(list(histogram), np.int64), list(histogram.values()))
        return objects_left_out(counts_n, max_objects) if name == "train" else ""
    several = sum(count for boxes, count in histogram.items() if boxes > 1)
    return several_objects(several, values["images"], task) if several else ""


def format_split(name: str, values: Mapping[str, Any], *, image_labels: bool) -> Iterator[str]:
    """The statistics of a split as lines of text; `image_labels` also counts the images whose own class is each class."""
    images, boxes = values["images"], values["boxes"]
    sample = "" if values["of"] == images + values["unreadable"] else f" (a sample of {values['of']:,})"
    skipped = f", {values['unreadable']:,} unreadable ones skipped" if values["unreadable"] else ""
    mean = f", {boxes / images:.2f} an image" if images else ""
    counts = ", ".join(f"{count:,} with {n}" for n, count in list(values["boxes_per_image"].items())[:6])
    yield f"{name}: {images:,} images{sample}{skipped}, {boxes:,} boxes{mean}"
    yield f"  boxes an image   {counts}{', ...' if len(values['boxes_per_image']) > 6 else ''}"
    per_image = values["objects_per_image"]
    if per_image and per_image["most"] > 1:
        keeps = f"; --config.data.max_objects={per_image['most']} keeps all" if name == "train" else ""
        spread = f"mean {per_image['mean']:.2f}, 95 % of the images have at most {per_image['95%']:.0f}, all at most {per_image['most']}"
        yield f"  objects          {spread}{keeps}"
    yield from _class_lines(values["classes"], image_labels)
    yield _spread("image width", values["width"], "{:,.0f}")
    yield _spread("image height", values["height"], "{:,.0f}")
    yield _spread("width / height", values["aspect"], "{:.2f}")
    if boxes:
        yield _spread("box, % of image", {key: 100 * share for key, share in values["box_area"].items()}, "{:.1f}")
        yield _spread("width / height", values["box_aspect"], "{:.2f}")
        sizes = ", ".join(f"{count:,} {size} ({100 * count / boxes:.0f} %)" for size, count in values["box_sizes"].items())
        yield f"  box sizes        {sizes}; small: below 1/4 of the sides, large: at least 1/2"
        (x, y), (dx, dy) = values["middle"]["mean"], values["middle"]["deviation"]
        yield f"  box centers      mean {x:.2f} of the width, {y:.2f} of the height; std {dx:.2f}, {dy:.2f}"
        yield f"  at the edge      {values['at_edge']:,} boxes ({100 * values['at_edge'] / boxes:.0f} %) touch an edge of their image"
        most = max(max(row) for row in values["coverage"]) or 1.0
        yield f"  share of boxes that cover each part of the image (@: {100 * most:.1f} %, blank: below a tenth of that):"
        yield from (f"    |{''.join(SHADES[min(9, int(10 * share / most))] for share in row)}|" for row in values["coverage"])


def _class_lines(classes: Sequence[Mapping[str, Any]], image_labels: bool) -> Iterator[str]:
    ordered = sorted(classes, key=lambda entry: -(entry["images"] + entry["boxes"] / 1e9))

    differ = image_labels and any(entry["image_labels"] != entry["images"] for entry in classes)

    def describe(entries: Sequence[Mapping[str, Any]]) -> str:
        own = [f" (the image's own class in {entry['image_labels']:,})" if differ else "" for entry in entries]
        pairs = zip(entries, own, strict=True)
        return "; ".join(f"{entry['name']} in {entry['images']:,} images{text}, {entry['boxes']:,} boxes" for entry, text in pairs)

    if len(ordered) <= 2 * SHOWN:
        yield f"  {len(ordered)} class{'es' if len(ordered) != 1 else '  '}{' ' * (9 - len(str(len(ordered))))}{describe(ordered)}"
        return
    yield f"  {len(ordered)} classes, the most frequent: {describe(ordered[:SHOWN])}"
    yield f"    the least frequent: {describe(ordered[-SHOWN:])}"
    unused = sum(not entry["images"] and not entry["boxes"] for entry in ordered)
    if unused:
        yield f"    {unused} classes have no images"


def _spread(title: str, values: Mapping[str, float], form: str) -> str:
    if not values:
        return f"  {title:<16} unknown"
    text = {key: form.format(value) for key, value in values.items()}
    return f"  {title:<16} median {text['50%']}, 5 to 95 %: {text['5%']} to {text['95%']}, all: {text['least']} to {text['most']}"


def format_baselines(values: Mapping[str, Mapping[str, Any]], boxes: Mapping[str, Sequence[float]], median_of: str) -> Iterator[str]:
    """The scores of fixed boxes on each split as a table of text."""
    scored = {name: split["baselines"] for name, split in values.items() if split["boxes"]}
    if not scored:
        yield "no baselines: the data has no boxes"
        return
    yield "baselines: % of the images with boxes at IoU >= .3 .5 .7, and mean IoU"
    head = "".join(f"{text:>8}" for text in (".3", ".5", ".7", "mean"))
    yield f"{'':<28}{'the largest object':>32}  {'any object':>32}"
    yield f"{'':<28}{head}  {head}"
    for name, baselines in scored.items():
        for baseline in boxes:
            cells = []
            for against in ("largest", "any"):
                scores = baselines[baseline][against]
                cells.append("".join(f"{100 * v:8.2f}" if re.match("iou_", key) else f"{v:8.4f}" for key, v in scores.items()))
            yield f"{name:<12}{baseline:<16}{'  '.join(cells)}"
    if "median box" in boxes:
        edges = ", ".join(f"{edge:.4f}" for edge in boxes["median box"])
        yield f"median box: the median of each edge over the largest box of each image of {median_of}: ({edges})"
