"""imgloc data stats"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
    from imgloc.training.data_faults import several_objects

    found = summarize_data(config, splits, median_of=median_splits)
    values, boxes = found["splits"], found.pop("boxes")
    if parsed.json:
        print(json.dumps({"data": title(config), **found}, indent=2))
        return 0
    print(f"data: {title(config)}")
    for name in splits:
        print()
        print("\n".join(format_split(name, values[name])) if name in values else f"{name}: not available: {found['missing'][name]}")
        several = sum(count for boxes, count in values[name]["boxes_per_image"].items() if int(boxes) > 1) if name in values else 0
        if several:
            print(f"  {several_objects(several, values[name]['images'], config.task)}")
    print()
    print("\n".join(format_baselines(values, boxes, "+".join(median_splits))))
    return 0


def format_split(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """The statistics of a split as lines of text."""
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
    yield from _class_lines(values["classes"])
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
        yield "  share of boxes that cover each part of the image (blank: below 10 %, @: at least 90 %):"
        yield from (f"    |{''.join(SHADES[min(9, int(10 * share))] for share in row)}|" for row in values["coverage"])


def _class_lines(classes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    ordered = sorted(classes, key=lambda entry: -(entry["images"] + entry["boxes"] / 1e9))

    def describe(entries: Sequence[Mapping[str, Any]]) -> str:
        return "; ".join(f"{entry['name']} {entry['images']:,} images, {entry['boxes']:,} boxes" for entry in entries)

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
