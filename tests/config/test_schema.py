"""Configs: recipes read, keys and types checked, JSON and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from imgloc.config import schema as configs
from imgloc.config.recipes import find_recipe, read_recipe, shipped_recipes
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
    text = "from imgloc.config.schema import base\ndef get_config():\n    config = base()\n    config.seed = 5\n    return config\n"
    assert read_recipe(recipe_file(tmp_path, text)).seed == 5


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
    assert_refused(lambda: read_recipe(path), contains, path)


def test_paths_that_are_no_recipe_are_refused(tmp_path: Path) -> None:
    recipe_file(tmp_path, "")
    assert_refused(lambda: read_recipe(str(tmp_path / "recipy.py")), "no recipe file", "recipe.py")
    assert_refused(lambda: read_recipe(str(tmp_path / "nowhere" / "a.py")), "no recipe file")
    assert_refused(lambda: read_recipe(str(tmp_path)), "no recipe file")
    (tmp_path / "notes.txt").write_text("hello")
    assert_refused(lambda: read_recipe(str(tmp_path / "notes.txt")), "not a Python file")


def test_a_shipped_recipe_is_found_by_name_and_an_existing_file_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = {path.stem for path in (Path(__file__).parents[2] / "configs").glob("*.py")}
    monkeypatch.chdir(tmp_path)
    assert set(shipped_recipes()) == shipped
    assert read_recipe("digits_cnn").model.name == "second_look"
    (tmp_path / "digits_cnn").write_text("text")
    assert_refused(lambda: read_recipe("digits_cnn"), "recipe 'digits_cnn' is not a Python file")


def test_an_unknown_recipe_is_answered_with_the_nearest_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_refused(lambda: find_recipe("digits_cn"), "unknown recipe 'digits_cn'; did you mean 'digits_cnn'?")
    assert_refused(
        lambda: find_recipe("configs/digits_cnn.py"),
        "no recipe file 'configs/digits_cnn.py'; did you mean 'digits_cnn'? possible: a Python file with",
        "or one of digits_cnn, ",
        "in all)",
    )
    recipe_file(tmp_path, "")
    assert_refused(lambda: find_recipe("./recipy.py"), "did you mean 'recipe.py'?")
    assert_refused(lambda: find_recipe(""), "no recipe file ''")


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
    assert_refused(lambda: configs.check_keys(ConfigDict(values)), f"{key} must be ", repr(value))


def test_an_int_serves_as_a_float_and_a_list_as_a_tuple() -> None:
    values = configs.base().to_dict()
    values["optim"]["lr"], values["data"]["image_size"] = 1, [32, 32]
    configs.check_keys(ConfigDict(values))


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
    config, elsewhere, other = (configs.base() for _ in range(3))
    elsewhere.devices.fsdp, other.seed = 2, 1
    assert configs.fingerprint(config) == configs.fingerprint(configs.base())
    assert configs.fingerprint(elsewhere) == configs.fingerprint(config)  # the same numbers, on other devices
    assert configs.fingerprint(other) != configs.fingerprint(config)
