"""Configs: recipes read, keys and types checked, flags applied, JSON and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from imgloc import config as configs
from tests.refusals import assert_refused


def recipe_file(tmp_path: Path, text: str) -> str:
    (tmp_path / "recipe.py").write_text(text)
    return str(tmp_path / "recipe.py")


def test_base_is_whole_and_fresh_each_time() -> None:
    configs.check_keys(configs.base())
    changed = configs.base()
    changed.optim.lr = 7.0
    assert configs.base().optim.lr != 7.0


def test_a_recipe_is_read(tmp_path: Path) -> None:
    text = "from imgloc.config import base\ndef get_config():\n    config = base()\n    config.seed = 5\n    return config\n"
    assert configs.read_recipe(recipe_file(tmp_path, text)).seed == 5


@pytest.mark.parametrize(
    ("text", "contains"),
    [
        ("def get_config(:\n", "SyntaxError"),
        ("raise RuntimeError('two\\nlines')\n", "RuntimeError: two lines"),
        ("import not_there_at_all\n", "not_there_at_all"),
        ("x = 1\n", "has no get_config()"),
        ("def get_config():\n    return {'a': 1}\n", "returns dict"),
        ("def get_config():\n    return 1 / 0\n", "ZeroDivisionError"),
        ("def get_config(a):\n    return a\n", "TypeError"),
    ],
)
def test_broken_recipes_are_refused_in_one_line(text: str, contains: str, tmp_path: Path) -> None:
    path = recipe_file(tmp_path, text)
    assert_refused(lambda: configs.read_recipe(path), contains, path)


def test_paths_that_are_no_recipe_are_refused(tmp_path: Path) -> None:
    recipe_file(tmp_path, "")
    assert_refused(lambda: configs.read_recipe(str(tmp_path / "recipy.py")), "no config file", "recipe.py")
    assert_refused(lambda: configs.read_recipe(str(tmp_path / "nowhere" / "a.py")), "no config file")
    assert_refused(lambda: configs.read_recipe(str(tmp_path)), "no config file")
    (tmp_path / "notes.txt").write_text("hello")
    assert_refused(lambda: configs.read_recipe(str(tmp_path / "notes.txt")), "not a Python file")


def sections() -> list[str]:
    return ["", *(key for key, value in configs.base().items() if isinstance(value, ConfigDict) and key not in ("model", "losses"))]


@pytest.mark.parametrize("section", sections())
def test_unknown_keys_are_refused_in_each_section(section: str) -> None:
    config = configs.base()
    target = config[section] if section else config
    leaf = next(key for key, value in target.items() if not isinstance(value, ConfigDict) and len(key) > 3)
    target[leaf + "s"] = 1
    prefix = section + "." if section else ""
    assert_refused(lambda: configs.check_keys(config), f"unknown config key '{prefix}{leaf}s'", f"did you mean '{prefix}{leaf}'")


@pytest.mark.parametrize("section", sections())
def test_missing_keys_are_refused_in_each_section(section: str) -> None:
    config = configs.base()
    target = config[section] if section else config
    leaf = list(target)[-1]
    del target[leaf]
    assert_refused(lambda: configs.check_keys(config), f"has no key '{section + '.' if section else ''}{leaf}'")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 1.5), ("seed", "0"), ("seed", True), ("seed", None), ("task", 3), ("optim.lr", "1e-3"), ("optim.lr", True),
        ("data.image_size", 64), ("data.image_size", "64"), ("train.steps", 10.0), ("model", 3), ("optim", "adamw"), ("losses", ()),
        ("train.init_skip", "bias"),
    ],
)  # fmt: skip
def test_values_of_another_type_are_refused(key: str, value: Any) -> None:
    values = configs.base().to_dict()
    *path, leaf = key.split(".")
    section = values
    for part in path:
        section = section[part]
    section[leaf] = value
    assert_refused(lambda: configs.check_keys(ConfigDict(values)), f"'{key}'", repr(value))


def test_an_int_serves_as_a_float_and_a_list_as_a_tuple() -> None:
    values = configs.base().to_dict()
    values["optim"]["lr"], values["data"]["image_size"] = 1, [32, 32]
    configs.check_keys(ConfigDict(values))


def flagged(*arguments: str) -> ConfigDict:
    return configs.apply_flags(configs.base(), arguments)


def test_flags_set_values_of_the_declared_types() -> None:
    config = flagged(
        "--config.optim.lr=1", "--config.seed=3", "--config.data.image_size=(32, 48)", "--config.train.dtype=bfloat16",
        "--config.optim.clip_norm", "2.5", "--config.train.init_skip=('a','b')",
    )  # fmt: skip
    assert config.optim.lr == 1.0
    assert isinstance(config.optim.lr, float)
    assert (config.seed, config.data.image_size, config.train.dtype, config.optim.clip_norm) == (3, (32, 48), "bfloat16", 2.5)
    assert config.train.init_skip == ("a", "b")
    configs.check_keys(config)
    assert configs.to_json(flagged()) == configs.to_json(configs.base())


def test_flags_leave_the_given_config_alone() -> None:
    before = configs.base()
    after = configs.apply_flags(before, ["--config.seed=9", "--config.optim.lr=9"])
    assert (after.seed, after.optim.lr) == (9, 9.0)
    assert before.to_dict() == configs.base().to_dict()


@pytest.mark.parametrize("spelling", ["--config.model.batch_norm=false", "--config.model.batch_norm=False"])
def test_booleans(spelling: str) -> None:
    config = configs.base()
    config.model.batch_norm = True
    assert configs.apply_flags(config, [spelling]).model.batch_norm is False
    config.model.batch_norm = False
    assert configs.apply_flags(config, ["--config.model.batch_norm"]).model.batch_norm is True
    assert configs.apply_flags(config, ["--config.model.batch_norm=true"]).model.batch_norm is True
    # absl's other spelling is not one of ml_collections
    assert_refused(lambda: configs.apply_flags(config, ["--config.model.nobatch_norm"]), "'model.nobatch_norm'", "'model.batch_norm'")


def checked(config: ConfigDict) -> ConfigDict:
    configs.check_keys(config)
    return config


@pytest.mark.parametrize(
    ("argument", "contains"),
    [
        ("--config.sed=1", ("unknown config key 'sed'", "did you mean 'seed'")),
        ("--config.optim.lrr=1", ("unknown config key 'optim.lrr'", "did you mean 'optim.lr'")),
        ("--config.optm.lr=1", ("unknown config key 'optm.lr'", "did you mean 'optim.lr'")),
        ("--config.optim=adamw", ("'optim' is a section", "optim.lr")),
        ("--config.seed.deep=1", ("'seed' is a value",)),
        ("--config.seed=abc", ("seed", "abc")),
        ("--config.seed=1.5", ("seed", "1.5")),
        ("--config.optim.lr=fast", ("lr", "fast")),
        ("--config.data.image_size=64", ("image_size",)),
        ("--config.data.image_size=(64", ("image_size",)),
        ("--config.seed", ("seed",)),
        ("--conf.seed=1", ("unknown option '--conf.seed=1'",)),
        ("-v", ("unknown option '-v'",)),
        ("--config=other.py", ("--config=other.py",)),
        ("seed=1", ("unexpected argument 'seed=1'",)),
        ("--config.=1", ("unknown config key",)),
    ],
)
def test_wrong_flags_are_refused_in_one_line(argument: str, contains: tuple[str, ...], capfd: pytest.CaptureFixture[str]) -> None:
    assert_refused(lambda: configs.check_ranges(checked(flagged(argument))), *contains)
    assert capfd.readouterr() == ("", "")


def test_the_last_value_of_a_flag_counts() -> None:
    arguments = ["--config.seed=1", "--config.seed=2", "--config.model.name", "lstm"]
    assert flagged(*arguments[:2]).seed == 2
    assert configs.flag_value(arguments, "seed") == "2"
    assert configs.flag_value(arguments, "model.name") == "lstm"
    assert configs.flag_value(arguments, "task") is None
    assert configs.override_keys(arguments) == ["seed", "seed", "model.name"]


def test_json_and_back_keeps_the_fingerprint() -> None:
    config = configs.base()
    config.data.image_size = (32, 32)
    config.losses.giou = ConfigDict({"weight": 2.0})
    written = json.loads(json.dumps(configs.to_json(config)))
    back = configs.from_json(written)
    assert back.data.image_size == (32, 32)
    assert isinstance(back.optim.weight_decay_exclude, tuple)
    assert configs.to_json(back) == written
    assert configs.fingerprint(back) == configs.fingerprint(config)
    assert back.to_dict() == config.to_dict()
    configs.check_keys(back)


def test_fingerprints_tell_configs_apart() -> None:
    assert configs.fingerprint(flagged("--config.devices.fsdp=2")) == configs.fingerprint(configs.base())  # the same numbers, elsewhere
    assert configs.fingerprint(flagged("--config.seed=1")) != configs.fingerprint(configs.base()) == configs.fingerprint(configs.base())
