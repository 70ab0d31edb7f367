"""imgloc in Python does what the commands do: the same bits, the same refusals, and nothing global."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import imgloc
from imgloc.config.resolve import resolve
from imgloc.data.sources.scattered_digits import source
from tests import processes
from tests.refusals import assert_refused

RECIPE = "configs/digits_lstm.py"
PYTHON = """
import sys, warnings
warnings.simplefilter("error")
import imgloc
assert "jax" not in sys.modules, "importing imgloc imports no JAX"
workdir, overrides = sys.argv[1], {
    "model": {"features": 8, "hidden": 8}, "train.batch_size": 16, "eval.bootstrap_samples": 200,
    "train": {"steps": 60, "log_every": 5, "eval_every": 20, "save_every": 10},
}
config = imgloc.load_config("configs/digits_lstm.py", **overrides)
assert imgloc.train(config, workdir, quiet=True) == "finished"
assert imgloc.train(config, workdir) == "already finished"
results = imgloc.evaluate(workdir)
assert str(imgloc.report(workdir)) == workdir + "/report.html"
"""


def test_python_trains_and_scores_to_the_bits_of_the_commands(evaluated_run: Path, tmp_path: Path, cache: Path) -> None:
    command = [sys.executable, "-c", PYTHON, str(tmp_path / "run")]
    done = subprocess.run(
        command, cwd=processes.ROOT, env=processes.environment(cache), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    for name in ("results.json", "rows/test.jsonl", "model/variables.safetensors", "config.json"):
        assert (tmp_path / "run" / name).read_bytes() == (evaluated_run / name).read_bytes(), name
    assert "</html>" in (tmp_path / "run" / "report.html").read_text()


def test_a_config_is_loaded_with_overrides_and_checked() -> None:
    config = imgloc.load_config(RECIPE, seed=3, train={"steps": 7}, **{"optim.lr": 1e-3, "model": {"cell": {"name": "gru"}}})
    assert (config.seed, config.train.steps, config.optim.lr, config.model.cell.name) == (3, 7, 1e-3, "gru")
    assert config == resolve(config), "a complete config is accepted again"
    assert_refused(lambda: imgloc.load_config(RECIPE, **{"optim.rate": 1.0}), "unknown config key 'optim.rate'", "optim.")
    assert_refused(lambda: imgloc.load_config(RECIPE, train={"step": 1}), "did you mean 'train.steps'?")
    assert_refused(lambda: imgloc.load_config(RECIPE, **{"optim.lr": "1e-3"}), "optim.lr")
    assert_refused(lambda: imgloc.load_config(RECIPE, train={"steps": 0}), "train.steps must be at least 1, got 0")
    assert_refused(lambda: imgloc.load_config("configs/no_such.py"), "no_such")


def test_results_are_those_of_the_command_as_data_frames(evaluated_run: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(evaluated_run, run)
    results = imgloc.evaluate(run)
    saved = json.loads((evaluated_run / "results.json").read_text())
    metrics = results.metrics
    assert list(metrics.columns) == ["predictor", "metric", "slice", "mean", "low", "high", "n"]
    assert len(metrics) == sum(map(len, saved.values()))
    for record in metrics.to_dict("records"):
        key = "test" if record["predictor"] == "model" else f"test/{record['predictor']}"
        whole = saved[key]["/".join(filter(None, (record["metric"], record["slice"])))]
        assert {name: record[name] for name in ("mean", "low", "high", "n")} == whole
    pd.testing.assert_frame_equal(results.rows(), pd.read_json(run / "rows" / "test.jsonl", lines=True), check_dtype=False)
    assert set(results.rows("median_box").columns) >= {"id", "pred_box"}
    assert results.skipped == 0
    assert "mean_iou" in results._repr_html_()
    assert results.export("yolo") == run / "exports" / "test" / "yolo"
    assert len(list((run / "exports" / "test" / "yolo" / "labels").iterdir())) == len(results.rows())
    assert_refused(lambda: imgloc.evaluate(run, **{"data.options.digits": "idx"}), "needs a name for its rows and results")
    assert_refused(lambda: imgloc.evaluate(run, name="other", **{"optim.lr": 1.0}), "cannot change a trained run")
    assert_refused(lambda: imgloc.evaluate(run, "tst"), "unknown split 'tst'")


def test_training_leaves_the_signal_handlers_as_they_were(tiny_run: Path, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    arguments = [argument for argument in processes.TINY if "--config=" not in argument]
    from imgloc.config.recipes import read_recipe

    assert imgloc.train(resolve(read_recipe(RECIPE), arguments), tiny_run) == "already finished"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    (tmp_path / "file").touch()
    assert_refused(lambda: imgloc.train(imgloc.load_config(RECIPE), tmp_path / "file"), "is a file")
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_predictions_are_pictures_tables_and_files(evaluated_run: Path, tmp_path: Path) -> None:
    model = imgloc.load(evaluated_run)
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    for number, name in enumerate(("b.png", "deep/a.png")):
        Image.fromarray(source("test", seed=0)[number].image_hxwxc[..., 0]).resize((128, 96)).save(tmp_path / "photos" / name)
    predictions = model.predict(tmp_path / "photos")
    assert [Path(each.name).name for each in predictions] == ["b.png", "a.png"]
    assert {(each.width, each.height) for each in predictions} == {(128, 96)}
    table = predictions.to_dataframe()
    assert list(table.columns) == ["image", "width", "height", "class", "score", "x0", "y0", "x1", "y1"]
    np.testing.assert_allclose(table.loc[0, ["x0", "y0", "x1", "y1"]].astype(float), predictions[0].answer.box, atol=1e-2)
    picture = predictions[0].draw()
    assert picture.size == (128, 96)
    assert (np.asarray(picture) != np.asarray(Image.open(tmp_path / "photos" / "b.png").convert("RGB"))).any(), "a box is drawn"
    assert predictions[0]._repr_png_().startswith(b"\x89PNG")
    assert predictions._repr_html_().count("<img") == 2
    assert (predictions.export("csv", tmp_path / "out") / "predictions.csv").read_text().count("\n") == 3

    (tmp_path / "photos" / "broken.png").write_bytes(b"no image")
    assert_refused(lambda: model.predict(tmp_path / "photos"), "broken.png")
    with pytest.warns(UserWarning, match=r"broken\.png"):
        assert len(model.predict(tmp_path / "photos", skip_errors=True)) == 2


def test_a_sweep_in_python_ends_as_its_command(tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(processes.ROOT)!r})\n"
        "from configs.digits_lstm import get_config\n"
        "def sweep():\n"
        "    for seed in range(2):\n"
        "        yield {'seed': seed, 'train.steps': 2, 'model': {'features': 8, 'hidden': 8}, 'eval.bootstrap_samples': 50}\n"
    )
    summary = imgloc.sweep(tmp_path / "recipe.py", tmp_path / "sweep", **{"train.batch_size": 8})
    assert [point["state"] for point in summary["points"]] == ["finished", "finished"]
    assert json.loads((tmp_path / "sweep" / "sweep.json").read_text()) == json.loads(json.dumps(summary))
    page = imgloc.report(tmp_path / "sweep", tmp_path / "compare.html")
    assert page.is_file()


def test_data_is_checked_summarized_and_shown(picture_folder: Path, tmp_path: Path) -> None:
    assert len(imgloc.check_data(picture_folder)) == 0
    summary = imgloc.summarize_data(picture_folder)
    assert sum(split["images"] for split in summary["splits"].values()) == 90
    assert set(summary["boxes"]) == {"whole image", "median box"}
    page = imgloc.show_data(picture_folder, tmp_path / "sheet.html", count=5)
    assert "5 of the" in page.read_text()
    shutil.copytree(picture_folder, tmp_path / "broken")
    (tmp_path / "broken" / "images" / "00.png").write_bytes(b"no image")
    faults = imgloc.check_data(tmp_path / "broken")
    assert list(faults["kind"]) == ["unreadable_image"]
    assert faults["serious"].all()
    assert_refused(lambda: imgloc.check_data(imgloc.load_config(RECIPE), convention="edges"), "options of a folder")
    assert_refused(lambda: imgloc.summarize_data(picture_folder, ["tset"]), "unknown split 'tset'; did you mean 'test'?")
    assert_refused(lambda: imgloc.check_data(picture_folder, formt="csv"), "unknown folder option 'formt'; did you mean 'format'?")


def test_the_package_offers_what_it_lists() -> None:
    for name in imgloc.__all__:
        assert getattr(imgloc, name) is not None
    assert set(imgloc.__all__) <= set(dir(imgloc))
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = imgloc.no_such_name  # type: ignore[attr-defined]
