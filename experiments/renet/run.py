"""Recurrent sweeps beside convolutions in equal training time: trunks of one localizer on scattered digits, and ReNet on MNIST.

    python experiments/renet/run.py --table             # prints the tables of the saved results.json
    python experiments/renet/run.py --folder FOLDER     # MNIST's four idx files; without it $IMGLOC_DATA/mnist
    python experiments/renet/run.py --gather            # only gathers the runs that are finished
    python experiments/renet/run.py --measure           # the time of a step of each arm anew; let nothing else run

Each arm of a task trains for as many steps as fit into the task's seconds at its time a step on one core (`Arm.ms`, by --measure under
`taskset -c 0`): what is equal is the time of training steps on the machine that measured; that they are steps makes a run the same bits
anywhere. `taskset -c 0` and `-c 1` before two of these commands, with different --only or --seeds, share the runs between two cores.
Finished runs are not made again, interrupted ones go on. Writes results.json and curves.svg, and prints the tables.
"""

from __future__ import annotations

import io
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))

from gathering import ROOT, Runs, finished, kept, made_by, options, over_seeds, step_times

from imgloc import files

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
VALIDATIONS = 10  # of a run, evenly spaced


class Arm(NamedTuple):
    """A recipe with its flags."""

    task: str
    recipe: str
    ms: float  # a step, of one core of an AMD EPYC, by --measure
    flags: tuple[str, ...] = ()


class Task(NamedTuple):
    """What arms are compared on."""

    seconds: float  # of training steps
    metrics: dict[str, str]  # of the tables, the one that is drawn first
    splits: dict[str, str]  # scored: their name in results.json, and what the table says of them


def trunk(name: str, lr: float, ms: float) -> Arm:
    """The localizer with a trunk."""
    return Arm("digits", "digits_trunks", ms, (f"--config.model.trunk={name}", f"--config.optim.lr={lr}"))


FOUR = {"top1_loc_50": "both right", "top1": "class right", "mean_iou": "mean IoU", "gt_known_50": "box right"}
TASKS = {
    "digits": Task(180, FOUR, {"test": "test"}),
    "mnist": Task(480, {"top1": "class right"}, {"test@last": "test, last step", "test": "test, best of validation"}),
}
ARMS = {
    "CNN, two looks": Arm("digits", "digits_cnn", 121),
    "LSTM, rows then columns": Arm("digits", "digits_lstm", 78.8),
    # Learning rates: renet and conv_lstm were tried at 5e-3 and 1e-2 for 400 steps, the others have the recipe's.
    "localizer, cnn": trunk("cnn", 5e-3, 84.8),
    "localizer, renet": trunk("renet", 1e-2, 147),
    "localizer, cnn_irnn": trunk("cnn_irnn", 5e-3, 92.8),
    "localizer, conv_lstm": trunk("conv_lstm", 1e-2, 116),
    "CNN of the seed": Arm("mnist", "seed_cnn_mnist", 7.21),
    "ReNet": Arm("mnist", "renet_mnist", 144),
}
BASELINES = {"median box of training": "test/median_box", "whole-image box": "test/whole_image"}


def main() -> None:
    """Measure; or make what is missing, gather and tabulate."""
    parser = options(__doc__, "renet")
    parser.add_argument("--only", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM", help="arms to train; without it all")
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS, help="of the runs to train; without it all three")
    wanted = parser.parse_args()
    results = HERE / "results.json"
    found: dict[str, Any] = files.read_json(results) if results.exists() else {}
    if wanted.measure:
        found["steps"] = step_times({title: config_of(arm, wanted.folder) for title, arm in ARMS.items()})
    elif not wanted.table:
        for seed in wanted.seeds if not wanted.gather else ():
            for title in wanted.only:
                train(title, seed, run_of(wanted.workdir, title, seed), wanted.folder)
        made = {title: gathered(title, wanted.workdir, wanted.folder) for title in ARMS}
        found["runs"] = {title: runs for title, runs in made.items() if runs}
    if not wanted.table:
        files.write_json(results, found)
        files.write_text(HERE / "curves.svg", curves(found))
    print("\n\n".join(table(task, found) for task in TASKS))


def steps_of(title: str) -> int:
    """Steps of an arm in its task's seconds: a multiple of its validations."""
    arm = ARMS[title]
    return VALIDATIONS * round(1000 * TASKS[arm.task].seconds / arm.ms / VALIDATIONS)


def run_of(workdir: str, title: str, seed: int) -> Path:
    """Where an arm's run lies."""
    return Path(workdir) / f"{''.join(c if c.isalnum() else '-' for c in title)}-{seed}"


def data_flags(arm: Arm, folder: str) -> list[str]:
    """Where the data of an arm's task lies."""
    return [f"--config.data.options.folder={folder}"] if arm.task == "mnist" else []


def config_of(arm: Arm, folder: str) -> Any:
    """The config of an arm."""
    from imgloc import build
    from imgloc.config import read_recipe

    return build.resolve(read_recipe(str(ROOT / "configs" / f"{arm.recipe}.py")), [*arm.flags, *data_flags(arm, folder)])


def train(title: str, seed: int, run: Path, folder: str) -> None:
    """Make a run, or go on with it, and score it on the test digits."""
    arm, steps = ARMS[title], steps_of(title)
    if finished(run):
        return
    command = [sys.executable, "-m", "imgloc"]
    every = [f"--config.train.{key}={steps // VALIDATIONS}" for key in ("eval_every", "save_every")]
    flags = [*arm.flags, *data_flags(arm, folder), f"--config.seed={seed}", f"--config.train.steps={steps}", *every]
    subprocess.run([*command, "train", "--config", f"configs/{arm.recipe}.py", "--workdir", str(run), *flags], cwd=ROOT, check=True)
    if not (run / "finished.json").exists():
        sys.exit(f"{run} was stopped; run this again")
    subprocess.run([*command, "evaluate", str(run), "--split", "test"], cwd=ROOT, check=True)


def gathered(title: str, workdir: str, folder: str) -> Runs:
    """What results.json keeps of an arm's finished runs."""
    task, runs = TASKS[ARMS[title].task], []
    for seed in SEEDS:
        run = run_of(workdir, title, seed)
        if finished(run):
            runs.append({"seed": seed, **kept(run, [*task.splits, *BASELINES.values()], list(task.metrics), folder)})
        else:
            print(f"not finished: {title}, seed {seed}")
    return runs


def table(task: str, found: dict[str, Any]) -> str:
    """A Markdown table of a task, in per cent: means over the seeds and their 95 % t intervals."""
    wanted, times = TASKS[task], found.get("steps", {}).get("arms", {})
    titles = [f"{title} (`{name}`), {split}" for split in wanted.splits.values() for name, title in wanted.metrics.items()]
    titles += ["parameters", "steps", "ms a step, one core", "training, all told"]
    lines = [f"| {task}, {wanted.seconds:g} s of steps | " + " | ".join(titles) + " |", "|---|" + "---|" * len(titles)]
    arms: dict[str, Runs] = {title: runs for title, runs in found.get("runs", {}).items() if ARMS[title].task == task}
    for title, runs in arms.items():
        known = times.get(title, {"parameters": 0, "ms": float("nan")})
        cells = [
            over_seeds([run["results"][split][name]["mean"] for run in runs]) for split in wanted.splits for name in wanted.metrics
        ]
        cells += [f"{known['parameters']:,}", f"{runs[0]['steps']:,}", f"{known['ms']:.1f}"]
        lines.append(f"| {title} | " + " | ".join([*cells, f"{statistics.median(run['seconds'] for run in runs):.0f} s"]) + " |")
    every = [run for runs in arms.values() for run in runs]
    for title, split in BASELINES.items() if every else ():
        values = every[0]["results"].get(split, {})
        if "mean_iou" in values:
            lines.append(f"| {title} | " + " | ".join(f"{100 * values[name]['mean']:.2f}" for name in wanted.metrics) + " | | | | |")
    return "\n".join([*lines, "", made_by(every)] if every else lines)


def curves(found: dict[str, Any]) -> str:
    """Each task's first metric on validation over seconds of training steps, as SVG: medians over the seeds, lowest to highest shaded."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "renet", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(9.6, 3.8), layout="constrained")
        for axes, (task, wanted) in zip(figure.subplots(1, len(TASKS)), TASKS.items(), strict=True):
            for title, arm in ARMS.items():
                runs = [run["validation"] for run in found.get("runs", {}).get(title, ())]
                if arm.task != task or not runs:
                    continue
                seconds = [point[0] * arm.ms / 1000 for point in runs[0]]
                errors = [[1 - run[i][1] for run in runs] for i in range(len(seconds))]
                (line,) = axes.plot(seconds, [statistics.median(values) for values in errors], marker="o", markersize=2.5, label=title)
                lowest, highest = [min(values) for values in errors], [max(values) for values in errors]
                axes.fill_between(seconds, lowest, highest, color=line.get_color(), alpha=0.15, linewidth=0)
            axes.set(xlabel="seconds of training steps", ylabel=f"1 - {next(iter(wanted.metrics))}, validation", title=task, yscale="log")
            axes.grid(which="both", linewidth=0.3)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=7.5)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


if __name__ == "__main__":
    main()
