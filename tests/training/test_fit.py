"""Fitting a model without gradients: candidates, the choice among them, resuming, and what is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import imgloc
from imgloc.cli import main
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.data.digits import load_digits
from imgloc.errors import UserError
from imgloc.inference.bundle import read_bundle
from imgloc.interfaces import Fitted
from imgloc.models import ridge
from imgloc.runs.run_dir import open_run
from imgloc.training import fit, start
from tests import processes
from tests.refusals import assert_refused

TINY = (
    "--config=configs/digits_forest.py", "--config.model.name=ridge", "--config.model.alpha=(1000.0,1.0,1e9)", "--config.train.steps=3",
    "--config.model.descriptor.cell=16", "--config.train.batch_size=32", "--config.eval.bootstrap_samples=200",
    "--config.data.options.per_digit=1", "--config.eval.gallery=1",
)  # fmt: skip


def records(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


@pytest.fixture(scope="module")
def fitted_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fitted") / "run"
    assert processes.train_here(*TINY, workdir=folder) == "finished"
    return folder


def test_each_candidate_is_validated_and_the_best_one_becomes_the_model(fitted_run: Path) -> None:
    config = open_run(str(fitted_run))[1]
    assert [record["alpha"] for record in records(fitted_run, "train")] == [1000.0, 1.0, 1e9]
    validations = records(fitted_run, "validation")
    assert [record["step"] for record in validations] == [1, 2, 3]
    values = [record[config.train.best_metric] for record in validations]
    assert len(set(values)) > 1
    best = read_bundle(fitted_run / "model")
    assert best.step == max(range(3), key=lambda i: (values[i], i)) + 1
    assert best.resolved.model.alpha == (config.model.alpha[best.step - 1],)
    assert json.loads((fitted_run / "finished.json").read_text()) == {"last_step": 3, "best_step": best.step}
    assert best.step < 3, "or no model of the last candidate is kept beside the best one"
    assert read_bundle(fitted_run / "last_model").step == 3
    provenance = json.loads((fitted_run / "provenance.json").read_text())
    assert provenance["packages"]["scikit-learn"] != "not installed"
    assert provenance["sessions"][0]["to_step"] == 3


def test_a_fitted_model_locates_and_is_scored_and_reported(fitted_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = imgloc.load(fitted_run)
    image = np.zeros((64, 64), np.uint8)
    image[20:48, 30:58] = load_digits("test").images_nx28x28[0]
    (answer,) = trained.predict(image)
    assert 0 <= answer.answer.box[0] < answer.answer.box[2] <= 64
    assert main.main(["evaluate", str(fitted_run), "--quiet"]) == 0
    assert main.main(["report", str(fitted_run)]) == 0
    assert "<html" in (fitted_run / "report.html").read_text()
    assert processes.train_here(*TINY, workdir=fitted_run) == "already finished"
    capsys.readouterr()


class StopAfter:
    """A stop request that comes when it has been read a number of times."""

    def __init__(self, reads: int) -> None:
        self.left = reads

    @property
    def requested(self) -> bool:
        self.left -= 1
        return self.left < 0


def bits(folder: Path) -> dict[str, bytes]:
    names = ("metrics.jsonl", "finished.json", "model/variables.safetensors", "model/bundle.json", "last_model/variables.safetensors")
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def test_a_stopped_fit_resumes_with_the_next_candidate_and_ends_with_the_same_bits(
    fitted_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[float] = []

    def counted(model: Any, prepared: Any, rng: np.random.Generator) -> Fitted:
        fits.append(model.alpha[0])
        return ridge.fit(model, prepared, rng)

    monkeypatch.setattr(ridge, "FIT", dataclasses.replace(ridge.FIT, fit=counted))
    folder = tmp_path / "run"
    assert processes.train_here(*TINY, workdir=folder, stop=StopAfter(2)) == "stopped"
    assert fits == [1000.0]
    assert not (folder / "finished.json").exists()
    assert read_bundle(folder / "model").step == 1
    assert_refused(lambda: processes.train_here(*TINY, "--config.seed=1", workdir=folder), "contains a run of another config: seed")
    # A kill after the model of a candidate was written, and before its record.
    records_before = (folder / "metrics.jsonl").read_text()
    assert processes.train_here(*TINY, workdir=folder, stop=StopAfter(2)) == "stopped"
    (folder / "metrics.jsonl").write_text(records_before)
    assert processes.train_here(*TINY, workdir=folder) == "finished"
    assert fits == [1000.0, 1.0, 1.0, 1e9]
    assert bits(folder) == bits(fitted_run)


def test_a_fit_without_scikit_learn_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(model: Any, prepared: Any, rng: np.random.Generator) -> Fitted:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")

    monkeypatch.setattr(ridge, "FIT", dataclasses.replace(ridge.FIT, fit=lacking))
    assert_refused(lambda: processes.train_here(*TINY, workdir=tmp_path / "run"), "needs the package sklearn", "imgloc[classical]")


@pytest.mark.parametrize("error", [ValueError("Input X\ncontains NaN."), np.linalg.LinAlgError("Singular matrix"), UserError("no box")])
def test_an_error_of_a_library_in_a_fit_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(model: Any, prepared: Any, rng: np.random.Generator) -> Fitted:
        raise error

    monkeypatch.setattr(ridge, "FIT", dataclasses.replace(ridge.FIT, fit=failing))
    config = resolve(read_recipe("configs/digits_forest.py"), TINY[1:])
    setup = fit.set_up(config)
    expected = ["no box"] if isinstance(error, UserError) else ["the fit of model 'ridge' fails", type(error).__name__, "imgloc data check"]
    assert_refused(lambda: fit.fit_candidate(config, setup, setup.candidates[0], None), *expected)


def test_another_seed_gives_another_model(fitted_run: Path, tmp_path: Path) -> None:
    processes.train_here(*TINY, "--config.seed=1", workdir=tmp_path / "run")
    assert bits(tmp_path / "run")["model/variables.safetensors"] != bits(fitted_run)["model/variables.safetensors"]


def training_images(*flags: str) -> np.ndarray:
    """The training images that a fit reads, flat."""
    config = resolve(read_recipe("configs/digits_forest.py"), (*TINY[1:], *flags))
    batches = list(fit.training_batches(config, fit.set_up(config)))
    return np.concatenate([batch.images_bxhxwxc.reshape(len(batch.images_bxhxwxc), -1) for batch in batches])


def test_images_of_a_finite_split_are_read_at_most_once_unless_they_are_augmented() -> None:
    finite = "--config.data.train_images=40"
    once = training_images(finite)
    assert len(once) == len(np.unique(once, axis=0)) == 40
    np.testing.assert_array_equal(training_images(finite, "--config.train.steps=1"), once[:32])
    assert len(training_images(finite, "--config.data.augment.name=light")) == 96
    assert len(training_images()) == 96


def test_mistakes_in_a_config_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def complete(*flags: str, recipe: str = "configs/digits_forest.py") -> Any:
        return resolve(read_recipe(recipe), flags)

    assert_refused(
        lambda: complete("--config.model.name=forest", recipe="configs/digits_three_layer_cnn.py"),
        "losses must be empty, got box_l1, cross_entropy, giou", "'forest' is fitted without losses and gradients",
    )  # fmt: skip
    assert_refused(lambda: complete("--config.train.init_from=a"), "train.init_from must be empty, got a")
    assert_refused(lambda: complete("--config.data.preprocess=('canny',)"), "data.preprocess must be empty", "reads the images themselves")
    assert_refused(lambda: complete("--config.model.name=localizer"), "losses is empty")
    for values in ("()", "(1,1)"):
        config = complete(f"--config.model.min_leaf={values}")
        assert_refused(lambda config=config: start.check(config), "model.min_leaf must be different values to choose from")
    decided = complete("--config.model.box_sizes=(9,9,9)")
    assert_refused(lambda: start.check(decided), "model.box_sizes is decided by the fit", "leave it out")
    assert_refused(lambda: start.check(complete("--config.task=detect")), "task 'detect' needs the output 'boxes'")
    assert_refused(lambda: start.check(complete("--config.train.best_metric=speed")), "unknown metric (train.best_metric)")
    small = complete("--config.train.steps=1", "--config.train.batch_size=8", "--config.model.trees=2")
    run: Any = SimpleNamespace(requested=False)
    assert_refused(lambda: fit.train(small, str(tmp_path / "a"), stop=run, profile=True), "--profile traces training steps")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"classes": {}}, "for variable 'fitted/box/bias', the model needs ((4,), dtype('float32'))"),
        (None, "returned NaN or infinity in 'fitted/box/bias'"),
    ],
)
def test_a_fit_that_returns_other_variables_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: Any, message: str
) -> None:
    def wrong(model: Any, prepared: Any, rng: np.random.Generator) -> Fitted:
        right = ridge.fit(model, prepared, rng)
        box = {**right.variables["box"], "bias": np.full(4, np.nan, np.float32)}
        return Fitted(variables or {**right.variables, "box": box})

    monkeypatch.setattr(ridge, "FIT", dataclasses.replace(ridge.FIT, fit=wrong))
    assert_refused(lambda: processes.train_here(*TINY, workdir=tmp_path / "run"), "the fit of model 'ridge' returned", message)
