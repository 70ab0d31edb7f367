"""What scarce data is worth: few training images, and augmentations that make more of them.

    python experiments/scarce_data/run.py --table                                # prints the tables of results.json
    python experiments/scarce_data/run.py --only 'digits-200-*' --seeds 0 1      # trains the missing runs of some arms
    python experiments/scarce_data/run.py --folder FOLDER                        # BCCD in Pascal VOC's layout; without it $IMGLOC_DATA/bccd
    python experiments/scarce_data/run.py --gather                               # collects the finished runs without training

An arm is called DATA-IMAGES-AUGMENTATION. All arms of a data set share recipe, steps and input, and differ in `data.train_images` and
in the augmentation. Finished runs are kept and interrupted ones are resumed. Writes results.json and curves.svg, and prints the tables.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from arms import Arm, Plan, Task, command_line
from gathering import Json, Runs, made_by, over_seeds

STEPS, VALIDATIONS = 1500, 3
METRICS = {"ap50": "AP50", "ap": "AP", "f1": "F1"}
RECIPES = {"digits": "digits_detector", "bccd": "bccd"}
SIZES = {"digits": (50, 200, 1000, 4000), "bccd": (50, 200)}  # BCCD has 205 training images
#: Flags of all arms of a data set. Each has the same room for objects, because mosaics and pasted objects need more than an image has.
COMMON = {
    # Digits as they are: the recipe's own augmentation draws a canvas, so it would be part of the images.
    "digits": (
        *(f"data.options.{name}=0.0" for name in ("train_rotate", "train_stretch", "train_shear")),
        "data.options.per_digit=1", "data.max_objects=12",
    ),
    # A quarter of the pictures' 480 x 640 pixels.
    "bccd": ("data.image_size=(120, 160)", "data.options.format=voc", "data.options.without_objects=True", "data.max_objects=48"),
}  # fmt: skip
NONE = ("data.augment.name=none",)
AUGMENTATIONS = {
    "nothing": NONE,
    "light": ("data.augment.name=light", "data.augment.keep=False"),
    "photographs": ("data.augment.name=photographs", "data.augment.keep=False"),
    # The last three change half of the images.
    "cutmix": (*NONE, "data.batch_transforms=({'name': 'cutmix', 'probability': 0.5},)"),
    "mosaic": (*NONE, "data.batch_transforms=({'name': 'mosaic', 'probability': 0.5},)"),
    "copy_paste": (  # cells keep their size
        *NONE, "data.source=copy_paste", "data.options.own_size=True", "data.options.scale=(0.8, 1.25)", "data.options.objects=(5, 20)",
    ),
}  # fmt: skip
LEFT_OUT = {("digits", "copy_paste")}  # which reads folders
UPRIGHT = {("digits", "light"), ("digits", "photographs")}  # without flips, which change what a digit is


def make_arms() -> Iterator[tuple[str, Arm]]:
    """Yields the name of each arm and the arm."""
    for data, sizes in SIZES.items():
        for size in sizes:
            for name, flags in AUGMENTATIONS.items():
                if (data, name) not in LEFT_OUT:
                    no_flip = ("data.augment.flip=0.0",) if (data, name) in UPRIGHT else ()
                    keys = (*COMMON[data], f"data.train_images={size}", *flags, *no_flip)
                    yield f"{data}-{size}-{name}", Arm(data, RECIPES[data], STEPS, tuple(f"--config.{key}" for key in keys))


TASKS = {data: Task(METRICS, {"test": "test"}, folder=data == "bccd", best=True) for data in SIZES}
ARMS = dict(make_arms())
PLAN = Plan("scarce_data", TASKS, ARMS, seeds=(0, 1, 2, 3, 4), validations=VALIDATIONS, data=("bccd", "BCCD, as Pascal VOC"))


def finished(results: Json, data: str, size: int, name: str) -> Runs:
    """Returns the finished runs of an arm."""
    return [run for run in results.get("runs", {}).get(f"{data}-{size}-{name}", ()) if "results" in run]


def cell(runs: Runs, metric: str) -> str:
    """Returns the mean over the seeds with its 95 % t interval, or the value of one run with the interval over its test images."""
    values = [run["results"]["test"][metric] for run in runs]
    if len(values) != 1:
        return over_seeds([value["mean"] for value in values], 1) if values else ""
    return "{mean:.1f} ({low:.1f} to {high:.1f})".format(**{key: 100 * values[0][key] for key in ("mean", "low", "high")})


def table(data: str, results: Json) -> str:
    """Returns Markdown tables of a data set, one for each metric, in per cent: augmentations by numbers of training images."""
    arms = {name: [finished(results, data, size, name) for size in SIZES[data]] for name in AUGMENTATIONS}
    trained = {name: by_size for name, by_size in arms.items() if any(by_size)}
    tables = []
    for metric, title in METRICS.items():
        head = [f"| {data}, {title} |" + "".join(f" {size:,} images |" for size in SIZES[data]), "|---" * (len(SIZES[data]) + 1) + "|"]
        rows = [
            f"| {data}, {title}, {name} |" + "".join(f" {cell(runs, metric)} |" for runs in by_size) for name, by_size in trained.items()
        ]
        tables.append("\n".join([*head, *rows]))
    runs = [run for by_size in trained.values() for several in by_size for run in several]
    return "\n\n".join([*tables, made_by(runs)] if runs else tables)


def curves(results: Json) -> str:
    """Returns an SVG: AP50 on the test images, the mean over the seeds and their range, over the number of training images."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    with matplotlib.rc_context({"svg.hashsalt": "scarce_data", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        for axes, data in zip(figure.subplots(1, len(SIZES)), SIZES, strict=True):
            for number, name in enumerate(AUGMENTATIONS):
                found = {
                    size: [run["results"]["test"]["ap50"]["mean"] for run in finished(results, data, size, name)] for size in SIZES[data]
                }
                found = {size: values for size, values in found.items() if values}
                if found:
                    means = [sum(values) / len(values) for values in found.values()]
                    axes.plot(list(found), means, marker="o", markersize=3.5, label=name, color=f"C{number}")
                    lowest, highest = ([function(values) for values in found.values()] for function in (min, max))
                    axes.fill_between(list(found), lowest, highest, color=f"C{number}", alpha=0.15, linewidth=0)
            axes.set(xlabel="training images", ylabel="AP50, test", title=data, xscale="log")
            axes.set_xticks(SIZES[data], [f"{size:,}" for size in SIZES[data]])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.grid(linewidth=0.3)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=7.5)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


if __name__ == "__main__":
    command_line(__doc__ or "", PLAN, table, lambda results: {"curves.svg": curves(results)})
