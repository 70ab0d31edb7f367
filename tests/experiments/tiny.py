"""A tiny experiment in a folder: two arms with two seeds, whose model and data are modules beside it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.processes import ROOT

EXPERIMENT = """
from imgloc.experiments.columns import metric, steps
from imgloc.experiments.declared import Arm, Evaluation, Experiment, Table

EXPERIMENT = Experiment(
    arms={"plain": Arm("recipe.py"), "louder": Arm("recipe.py", {"model.scale": 2.0}, evaluations=EVALUATIONS)},
    tables=(Table("arm", (metric("top1", "class"), metric("mean_iou", "IoU"), steps()), show_provenance=True),),
    seeds=(0, 1),
)
"""


def write(folder: Path, evaluations: str = "()") -> Path:
    """Write the files of the experiment, and return its folder, in which commands run."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.py").write_text(EXPERIMENT.replace("EVALUATIONS", evaluations))
    recipe = (ROOT / "tests" / "sweeps" / "recipe.py").read_text().replace("tests.sweeps.", "own.")
    replaced = {"train.steps = 200": "train.steps = 40", "eval_every = 100": "eval_every = 20", "save_every = 50": "save_every = 10"}
    for before, after in replaced.items():
        assert before in recipe
        recipe = recipe.replace(before, after)
    (folder / "recipe.py").write_text(recipe.replace("    return config", '    config.eval.after_training = "test"\n    return config'))
    (folder / "own").mkdir(exist_ok=True)
    for name in ("line.py", "squares.py"):
        shutil.copy(ROOT / "tests" / "sweeps" / name, folder / "own" / name)
    return folder


def plant_a_bug(folder: Path) -> None:
    """Let the model of the arm `louder` return a box in the corner."""
    model = (folder / "own" / "line.py").read_text()
    right = '"box": boxes.from_low_size_logits(x[:, :4], nn.sigmoid)'
    assert right in model
    wrong = right.replace("x[:, :4]", "x[:, :4] - (20.0 if self.scale == 2.0 else 0.0)")
    (folder / "own" / "line.py").write_text(model.replace(right, wrong))
