"""The best step, patience, and the bundles of the best and of the last model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.devices import mesh
from imgloc.errors import storage_message
from imgloc.evaluation.scoring import metric_of
from imgloc.inference.bundle import read_bundle
from imgloc.runs.run_dir import RunDir
from imgloc.tasks import localize
from imgloc.training.best_model import best_step, is_out_of_patience, write_model
from imgloc.training.step import TrainState
from imgloc.types import Info

ERROR = "calibration_error"  # a metric for which lower is better


def validations(*values: float | None, metric: str = "top1") -> list[dict[str, Any]]:
    """A validation every 10 steps, and a record of training at each of these steps."""
    steps = range(10, 10 * len(values) + 1, 10)
    records = [
        [{"step": s, "kind": "train", metric: 99.0}, {"step": s, "kind": "validation", metric: v}]
        for s, v in zip(steps, values, strict=True)
    ]
    return [record for pair in records for record in pair]


@pytest.mark.parametrize(
    ("values", "highest", "lowest"),
    [
        ((0.1, 0.3, 0.2), 20, 10),
        ((0.3, 0.1, 0.2), 10, 20),
        ((0.3, 0.1, 0.3, 0.1, 0.2), 30, 40),  # the last of equal ones
        ((0.0, 0.0), 20, 20),
        ((-2.0, -1.0, -3.0), 20, 30),
        ((None, 0.2, None, 0.1, None), 20, 40),  # a metric that does not apply to every validation
        ((None, None), None, None),
        ((), None, None),
    ],
)
def test_the_best_step_follows_the_direction_of_the_metric(
    values: tuple[float | None, ...], highest: int | None, lowest: int | None
) -> None:
    assert best_step(validations(*values), metric_of("top1")) == highest
    assert best_step(validations(*values, metric=ERROR), metric_of(ERROR)) == lowest


def test_another_metric_and_records_without_it_do_not_count() -> None:
    records = [*validations(0.1, 0.9), {"step": 30, "kind": "validation", "mean_iou": 0.5}]
    assert best_step(records, metric_of("mean_iou")) == 30
    assert best_step(records, metric_of("top1")) == 20
    assert best_step(records, metric_of("top5")) is None


@pytest.mark.parametrize(
    ("values", "patience", "expected"),
    [
        ((0.3, 0.2), 1, True),
        ((0.3, 0.2), 2, False),
        ((0.3, 0.2, 0.1), 2, True),
        ((0.1, 0.2, 0.3), 1, False),
        ((0.3, 0.3), 1, True),  # counted from the first of equal ones
        ((0.1, 0.3, 0.3, 0.3), 2, True),
        ((0.1, 0.3, 0.3), 2, False),
        ((0.3, None, None), 1, False),  # validations without the metric do not count
        ((0.3, None, 0.2), 1, True),
        ((0.3, 0.2, 0.1), 0, False),
        ((None,), 1, False),
        ((), 1, False),
    ],
)
def test_patience_counts_validations_after_the_first_of_the_best(values: tuple[float | None, ...], patience: int, expected: bool) -> None:
    assert is_out_of_patience(validations(*values), metric_of("top1"), patience) is expected
    negated = [None if value is None else -value for value in values]
    assert is_out_of_patience(validations(*negated, metric=ERROR), metric_of(ERROR), patience) is expected


class Run:
    """A run folder whose models are written from states with a single parameter, the step."""

    def __init__(self, path: Path, best_metric: str = "top1") -> None:
        self.folder = RunDir(path)
        self.config = resolve(read_recipe("configs/digits_three_layer_cnn.py"), [f"--config.train.best_metric={best_metric}"])
        info = Info(classes=tuple("0123456789"), channels=1)
        self.setup: Any = SimpleNamespace(devices=mesh.make_mesh(jax.devices()[:1]), train=SimpleNamespace(info=info), task=localize.TASK)
        self.records: list[dict[str, Any]] = []

    def write(self, step: int, *, ema: Any = (), **values: float) -> None:
        """Write the model of a step, after its validation where there are values."""
        if values:
            self.records.append({"step": step, "kind": "validation", **values})
        params = {"dense": {"kernel": jnp.float32([step])}}
        state = TrainState(jnp.int32(step), jnp.uint32(0), params, {"batch_stats": {"mean": jnp.zeros(2)}}, (), ema)
        write_model(self.folder, self.config, self.setup, state, self.records)

    def steps(self) -> tuple[int | None, int | None]:
        """The steps of RUN/model and of RUN/last_model, each the same in both files and in the variables."""
        return self._step(self.folder.model), self._step(self.folder.last_model)

    def _step(self, path: Path) -> int | None:
        if not path.exists():
            return None
        assert sorted(file.name for file in path.iterdir()) == ["bundle.json", "variables.safetensors"]
        variables = load_file(path / "variables.safetensors")
        assert set(variables) == {"params/dense/kernel", "batch_stats/mean"}
        assert variables["params/dense/kernel"].tolist() == [read_bundle(path).step]
        return read_bundle(path).step


def test_the_best_model_and_the_last_one_are_kept(tmp_path: Path) -> None:
    run = Run(tmp_path)
    history = []
    for step, values in ((10, {}), (20, {"top1": 0.5}), (30, {}), (40, {"top1": 0.4}), (50, {"top1": 0.5}), (55, {}), (60, {"top1": 0.6})):
        run.write(step, **values)
        history.append(run.steps())
    assert history == [
        (10, None),  # without a validation, the last model is the best one
        (20, None),
        (20, 30),
        (20, 40),
        (50, None),  # the last of equal ones; the last model is the best one again
        (50, 55),
        (60, None),
    ]


def test_without_any_validation_the_last_model_is_the_best_one(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for step in (10, 20):
        run.write(step)
        assert run.steps() == (step, None)


def test_a_validation_without_the_metric_leaves_the_best_model(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write(10, mean_iou=0.9)
    assert run.steps() == (10, None)
    run.write(20, top1=0.1)
    run.write(30, mean_iou=0.9)
    assert run.steps() == (20, 30)


def test_the_best_model_has_the_lowest_value_where_lower_is_better(tmp_path: Path) -> None:
    run = Run(tmp_path, ERROR)
    for step, error in ((10, 0.5), (20, 0.7), (30, 0.4)):
        run.write(step, **{ERROR: error})
    assert run.steps() == (30, None)
    run.write(40, **{ERROR: 0.41})
    assert run.steps() == (30, 40)


def test_a_bundle_describes_the_model_and_has_the_moving_averages(tmp_path: Path) -> None:
    run = Run(tmp_path)
    averages = {"dense": {"kernel": jnp.float32([0.25])}}
    run.write(10, ema=(averages, {"batch_stats": {"mean": jnp.ones(2)}}))
    bundle = read_bundle(run.folder.model)
    assert (bundle.task, bundle.classes, bundle.step, bundle.input.channels) == (run.config.task, tuple("0123456789"), 10, 1)
    variables = load_file(run.folder.model / "variables.safetensors")
    assert variables["params/dense/kernel"].tolist() == [0.25]
    np.testing.assert_array_equal(variables["batch_stats/mean"], np.ones(2))


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        run = Run(tmp_path / name)
        run.write(10, top1=0.5)
        contents.append([path.read_bytes() for path in sorted(run.folder.model.iterdir())])
    assert contents[0] == contents[1]


def test_only_the_first_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run(tmp_path)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    run.write(10)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_cannot_be_written_names_its_file_in_one_line(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.folder.model.write_text("a file in place of the folder")
    with pytest.raises(OSError, match="File exists") as caught:
        run.write(10)
    message = storage_message(caught.value)
    assert f"{run.folder.model}" in message
    assert "\n" not in message
