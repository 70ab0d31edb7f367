"""Flags on a command line: applied with the declared types, or refused in one line."""

from __future__ import annotations

import pytest
from ml_collections import ConfigDict

from imgloc.config import overrides
from imgloc.config import schema as configs
from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import override
from tests.refusals import assert_refused


def flagged(*arguments: str) -> ConfigDict:
    return overrides.apply_flags(configs.base(), arguments)


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
    after = overrides.apply_flags(before, ["--config.seed=9", "--config.optim.lr=9"])
    assert (after.seed, after.optim.lr) == (9, 9.0)
    assert before.to_dict() == configs.base().to_dict()


def test_a_tuple_of_one_entry_needs_no_parentheses_as_in_ml_collections() -> None:
    config = flagged("--config.loggers=mlflow", "--config.train.init_skip=^classes/", "--config.optim.frozen", "^stem")
    assert (config.loggers, config.train.init_skip, config.optim.frozen) == (("mlflow",), ("^classes/",), ("^stem",))
    assert override(read_recipe("bccd"), ["--config.model.strides=8"]).model.strides == (8,)
    assert flagged("--config.data.image_size=96,128").data.image_size == (96, 128)
    assert_refused(lambda: override(read_recipe("bccd"), ["--config.model.strides=eight"]), "model.strides (an entry)", "int", "'eight'")


@pytest.mark.parametrize("spelling", ["--config.model.batch_norm=false", "--config.model.batch_norm=False"])
def test_booleans(spelling: str) -> None:
    config = configs.base()
    config.model.batch_norm = True
    assert overrides.apply_flags(config, [spelling]).model.batch_norm is False
    config.model.batch_norm = False
    assert overrides.apply_flags(config, ["--config.model.batch_norm"]).model.batch_norm is True
    assert overrides.apply_flags(config, ["--config.model.batch_norm=true"]).model.batch_norm is True
    # absl's other spelling is not one of ml_collections
    assert_refused(lambda: overrides.apply_flags(config, ["--config.model.nobatch_norm"]), "model.nobatch_norm", "model.batch_norm")


def checked(config: ConfigDict) -> ConfigDict:
    configs.check_keys(config)
    return config


@pytest.mark.parametrize(
    ("argument", "contains"),
    [
        ("--config.sed=1", ("unknown config key 'sed'", "did you mean 'seed'")),
        ("--config.optim.lrr=1", ("unknown config key 'optim.lrr'", "did you mean 'optim.lr'")),
        ("--config.optm.lr=1", ("unknown config key 'optm.lr'", "did you mean 'optim.lr'")),
        ("--config.optim=adamw", ("optim is a section", "optim.lr")),
        ("--config.seed.deep=1", ("seed is a value",)),
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
    assert overrides.flag_value(arguments, "seed") == "2"
    assert overrides.flag_value(arguments, "model.name") == "lstm"
    assert overrides.flag_value(arguments, "task") is None
    assert overrides.override_keys(arguments) == ["seed", "seed", "model.name"]
