"""imgloc data stats"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from imgloc.cli import data_choice
from imgloc.errors import UserError

if TYPE_CHECKING:
    from imgloc.data.summary import Split

HELP = "print what a data set holds, and what answers that never look at an image score on it"
EXAMPLES = """\
Baselines: the box of the whole image, and the median box: the median of each edge over the largest box of each
training image. Each is scored against the largest object of an image, and against whichever it meets best.

examples:
  imgloc data stats photos/
  imgloc data stats --config configs/digits_cnn.py --split test --json
"""
SHOWN = 5  # classes with the most, and with the fewest, images, of more than twice as many
SHADES = " .:-=+*#%@"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    data_choice.add_arguments(parser)
    parser.add_argument("--median-of", default="train", metavar="SPLITS", help="whose median box, as train+validation (default: train)")
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")


def run(parsed: argparse.Namespace, rest: Sequence[str]) -> int:
    """Print the numbers of each split."""
    splits = data_choice.chosen_splits(parsed.split)
    of_median = [part for name in parsed.median_of.split("+") for part in data_choice.chosen_splits(name.strip())]
    config = data_choice.chosen_config(parsed, rest)
    from imgloc.data import summary

    found: dict[str, Split] = {}
    missing: dict[str, str] = {}
    for name, source in data_choice.opened(config, [name for name in data_choice.SPLITS if name in {*splits, *of_median}]):
        if isinstance(source, UserError):
            missing[name] = str(source)
        else:
            found[name] = summary.gathered(name, source)
    if not any(name in found for name in splits):
        raise UserError(next(missing[name] for name in splits if name in missing))
    boxes = {"whole image": [0.0, 0.0, 1.0, 1.0]}
    median = summary.median_box([found[name] for name in of_median if name in found])
    if median is not None:
        boxes["median box"] = median.tolist()
    values = {name: as_json(found[name], boxes) for name in splits if name in found}
    if parsed.json:
        print(json.dumps({"data": data_choice.title(config), "median_of": of_median, "splits": values, "missing": missing}, indent=2))
        return 0
    print(f"data: {data_choice.title(config)}")
    for name in splits:
        print()
        print("\n".join(lines(name, values[name])) if name in values else f"{name}: none: {missing[name]}")
    print()
    print("\n".join(table(values, boxes, "+".join(of_median))))
    return 0


def as_json(split: Split, boxes: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """A split's numbers with the scores of fixed boxes."""
    import numpy as np

    from imgloc.data import summary

    scores = {name: {"box": box, **summary.fixed_box_scores(split, np.array(box))} for name, box in boxes.items()}
    return summary.described(split) | {"baselines": scores}


def lines(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    """A split's numbers as text."""
    images, boxes = values["images"], values["boxes"]
    part = "" if values["of"] == images + values["unreadable"] else f" (of {values['of']:,}, standing for all)"
    skipped = f", {values['unreadable']:,} that cannot be read left out" if values["unreadable"] else ""
    mean = f", {boxes / images:.2f} an image" if images else ""
    counts = ", ".join(f"{count:,} with {n}" for n, count in list(values["boxes_per_image"].items())[:6])
    yield f"{name}: {images:,} images{part}{skipped}, {boxes:,} boxes{mean}"
    yield f"  boxes an image   {counts}{', ...' if len(values['boxes_per_image']) > 6 else ''}"
    yield from _class_lines(values["classes"])
    yield _spread("image width", values["width"], "{:,.0f}")
    yield _spread("image height", values["height"], "{:,.0f}")
    yield _spread("width / height", values["aspect"], "{:.2f}")
    if boxes:
        yield _spread("box, % of image", {key: 100 * share for key, share in values["box_area"].items()}, "{:.1f}")
        yield _spread("width / height", values["box_aspect"], "{:.2f}")
        sizes = ", ".join(f"{count:,} {size} ({100 * count / boxes:.0f} %)" for size, count in values["box_sizes"].items())
        yield f"  box sizes        {sizes}; small: below 1/4 of the sides, large: from 1/2 on"
        (x, y), (dx, dy) = values["middle"]["mean"], values["middle"]["deviation"]
        yield f"  box middles      mean {x:.2f} of the width, {y:.2f} of the height; deviation {dx:.2f}, {dy:.2f}"
        yield f"  at the edge      {values['at_edge']:,} boxes ({100 * values['at_edge'] / boxes:.0f} %) touch an edge of their image"
        yield "  where boxes lie, share that covers each place of the image (blank: none, @: 90 % or more):"
        yield from (f"    |{''.join(SHADES[min(9, int(10 * share))] for share in row)}|" for row in values["coverage"])


def _class_lines(classes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    ordered = sorted(classes, key=lambda entry: -(entry["images"] + entry["boxes"] / 1e9))

    def told(entries: Sequence[Mapping[str, Any]]) -> str:
        return "; ".join(f"{entry['name']} {entry['images']:,} images, {entry['boxes']:,} boxes" for entry in entries)

    if len(ordered) <= 2 * SHOWN:
        yield f"  {len(ordered)} class{'es' if len(ordered) != 1 else '  '}{' ' * (9 - len(str(len(ordered))))}{told(ordered)}"
        return
    yield f"  {len(ordered)} classes, the most frequent: {told(ordered[:SHOWN])}"
    yield f"    the rarest: {told(ordered[-SHOWN:])}"
    none = sum(not entry["images"] and not entry["boxes"] for entry in ordered)
    if none:
        yield f"    {none} without any image"


def _spread(title: str, values: Mapping[str, float], form: str) -> str:
    if not values:
        return f"  {title:<16} not known"
    told = {key: form.format(value) for key, value in values.items()}
    return f"  {title:<16} median {told['50%']}, 5 to 95 %: {told['5%']} to {told['95%']}, all: {told['least']} to {told['most']}"


def table(values: Mapping[str, Mapping[str, Any]], boxes: Mapping[str, Sequence[float]], median_of: str) -> Iterator[str]:
    """What fixed boxes score on each split."""
    scored = {name: found["baselines"] for name, found in values.items() if found["boxes"]}
    if not scored:
        yield "no baselines: there are no boxes"
        return
    yield "answers that never look at an image: % of images (with boxes) at IoU >= .3 .5 .7, and mean IoU"
    head = "".join(f"{text:>8}" for text in (".3", ".5", ".7", "mean"))
    yield f"{'':<28}{'the largest object':>32}  {'any object':>32}"
    yield f"{'':<28}{head}  {head}"
    for name, found in scored.items():
        for answer in boxes:
            cells = []
            for against in ("largest", "any"):
                scores = found[answer][against]
                cells.append("".join(f"{100 * v:8.2f}" if re.match("iou_", key) else f"{v:8.4f}" for key, v in scores.items()))
            yield f"{name:<12}{answer:<16}{'  '.join(cells)}"
    if "median box" in boxes:
        edges = ", ".join(f"{edge:.4f}" for edge in boxes["median box"])
        yield f"median box: the median of each edge over the largest box of each image of {median_of}: ({edges})"
