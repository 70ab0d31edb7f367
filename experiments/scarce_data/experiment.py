"""What scarce data is worth: few training images, and augmentations that make more of them.

An arm is called DATA-IMAGES-AUGMENTATION. All arms of a data set share recipe, steps and input, and differ in `data.train_images` and
in the augmentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.ticker import NullLocator

from imgloc.experiments.columns import done, metric, over_seeds_or_images
from imgloc.experiments.curves import band, finish, picture
from imgloc.experiments.declared import Arm, Experiment, Json, Table
from imgloc.experiments.points import steps_of

METRICS = {"ap50": "AP50", "ap": "AP", "f1": "F1"}
RECIPES = {"digits": "digits_detector", "bccd": "bccd"}
SIZES = {"digits": (50, 200, 1000, 4000), "bccd": (50, 200)}  # BCCD has 205 training images
#: Of all arms of a data set. Each has the same room for objects, because mosaics and pasted objects need more than an image has.
COMMON: dict[str, dict[str, Any]] = {
    # Digits as they are: the recipe's own augmentation draws a canvas, so it would be part of the images.
    "digits": {
        **{f"data.options.{name}": 0.0 for name in ("train_rotate", "train_stretch", "train_shear")},
        "data.options.per_digit": 1, "data.max_objects": 12,
    },
    # A quarter of the pictures' 480 x 640 pixels.
    "bccd": {"data.image_size": (120, 160), "data.options.format": "voc", "data.options.without_objects": True, "data.max_objects": 48},
}  # fmt: skip
NONE = {"data.augment.name": "none"}
AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "nothing": NONE,
    "light": {"data.augment.name": "light", "data.augment.keep": False},
    "photographs": {"data.augment.name": "photographs", "data.augment.keep": False},
    # The last three change half of the images.
    "cutmix": {**NONE, "data.batch_transforms": ({"name": "cutmix", "probability": 0.5},)},
    "mosaic": {**NONE, "data.batch_transforms": ({"name": "mosaic", "probability": 0.5},)},
    "copy_paste": {  # cells keep their size
        **NONE, "data.source": "copy_paste", "data.options.own_size": True, "data.options.scale": (0.8, 1.25),
        "data.options.objects": (5, 20),
    },
}  # fmt: skip
LEFT_OUT = {("digits", "copy_paste")}  # which reads folders
UPRIGHT = {("digits", "light"), ("digits", "photographs")}  # without flips, which change what a digit is


def arms() -> Iterator[tuple[str, Arm]]:
    """Yields the name of each arm and the arm."""
    for data, size in ((data, size) for data, sizes in SIZES.items() for size in sizes):
        for name, own in AUGMENTATIONS.items():
            if (data, name) not in LEFT_OUT:
                no_flip = {"data.augment.flip": 0.0} if (data, name) in UPRIGHT else {}
                overrides = {**COMMON[data], "data.train_images": size, **own, **no_flip, **steps_of(1500, 3)}
                yield f"{data}-{size}-{name}", Arm(RECIPES[data], overrides, data="bccd" if data == "bccd" else "")


def table(data: str, key: str, title: str) -> Table:
    """Returns a table of a metric on a data set: augmentations by numbers of training images."""
    columns = tuple(metric(key, f"{size:,} images", over_seeds_or_images(), arm=str(size)) for size in SIZES[data])
    rows = {f"{data}-{{}}-{name}": f"{data}, {title}, {name}" for name in AUGMENTATIONS}
    return Table(f"{data}, {title}", columns, rows, show_provenance=key == "f1")


def curves(results: Json, _: Path) -> dict[str, bytes]:
    """Returns AP50 on the test images, the median over the seeds and their range, over the number of training images."""

    def draw(figure: Any) -> None:
        for axes, data in zip(figure.subplots(1, len(SIZES)), SIZES, strict=True):
            for name in AUGMENTATIONS:
                runs = {size: done(results.get("runs", {}).get(f"{data}-{size}-{name}", [])) for size in SIZES[data]}
                runs = {size: several for size, several in runs.items() if several}
                band(axes, name, list(runs), [[run["results"]["test"]["ap50"]["mean"] for run in several] for several in runs.values()])
            axes.set(xlabel="training images", ylabel="AP50, test", title=data, xscale="log")
            axes.set_xticks(SIZES[data], [f"{size:,}" for size in SIZES[data]])
            axes.xaxis.set_minor_locator(NullLocator())
            finish(axes)

    return {"curves.svg": picture(draw, (9.6, 3.8))}


EXPERIMENT = Experiment(
    arms=dict(arms()),
    tables=tuple(table(data, key, title) for data in SIZES for key, title in METRICS.items()),
    seeds=(0, 1, 2, 3, 4),
    pictures=curves,
)
