"""The detector on digits and on BCCD, beside other programs, whose results `rivals.py` gathers with the times of steps."""

from __future__ import annotations

from imgloc.experiments.columns import done, metric, over_seeds_or_images, training_time
from imgloc.experiments.declared import Arm, Experiment, Json, Table

TITLES = {"digits": "digits, 0 to 5 on 128x128 pixels", "bccd": "BCCD, its own test split"}
METRICS = {"ap": "AP", "ap50": "AP50", "ap75": "AP75"}
COUNTS = ("1", "2", "3", "4", "5")  # objects of an image
CELL = over_seeds_or_images(pattern="{} [{}, {}]", clip=False)


def table(data: str) -> Table:
    """Returns the scores on one data set: means with the 95 % interval over seeds, or over images where there is one run."""

    def rivals(results: Json) -> list[list[str]]:
        found = results.get("rivals", {}).get(data, {}).items()
        cells = [[CELL([run["scores"][key]]) for key in METRICS] for _, run in found]
        return [[f"{name}, 1 seed", *row, f"{run['seconds'] / 60:.0f} min"] for (name, run), row in zip(found, cells, strict=True)]

    columns = (*(metric(key, title, CELL) for key, title in METRICS.items()), training_time("training", "min", max))
    return Table(TITLES[data], columns, {data: "imgloc, {seeds}"}, extra_rows=rivals)


def by_count(results: Json) -> str:
    """Returns the scores of the detector by the number of digits on a canvas."""
    runs = done(results.get("runs", {}).get("digits", []))
    lines = [
        f"| digits on a canvas, {len(runs)} seed{'s' * (len(runs) > 1)} | " + " | ".join(COUNTS) + " |",
        "|---|" + "---|" * len(COUNTS),
    ]
    for key in ("ap", "ap50") if runs else ():
        cells = [CELL([run["results"]["test"][f"{key}/objects/{count}"] for run in runs]) for count in COUNTS]
        lines.append(f"| {METRICS[key]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def times(results: Json) -> str:
    """Returns the times of steps: medians over processes, with the lowest and the highest."""
    lines = ["| milliseconds | parameters | network | with detections | training step |", "|---|---|---|---|---|"]
    for row in results.get("times", ()):
        program = "torchvision" if "head" in row else "imgloc"
        title = f"{program}, {row.get('pyramid', row.get('channels'))} channels, {row['convs']} convolutions"
        cells = [f"{row[name][0]:.0f} ({row[name][1]:.0f} to {row[name][2]:.0f})" for name in ("network_ms", "detect_ms", "train_ms")]
        lines.append(f"| {title} | {row['parameters'] / 1e6:.1f} M | " + " | ".join(cells) + " |")
    return "\n".join(lines)


EXPERIMENT = Experiment(
    arms={"digits": Arm("digits_detector"), "bccd": Arm("bccd", {"data.options.format": "voc"}, data="bccd")},
    tables=(*map(table, TITLES), by_count, times),
    extra_metrics=tuple(f"{key}/objects/{count}" for key in ("ap", "ap50") for count in COUNTS),
)
