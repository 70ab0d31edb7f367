"""Names of earlier versions are refused with the names of today, which exist."""

from __future__ import annotations

import pytest
from ml_collections import ConfigDict

from imgloc.config import registry, renames, schema
from imgloc.config.resolve import resolve
from imgloc.evaluation import scoring
from tests.refusals import assert_refused


def test_new_names_exist_and_old_ones_do_not() -> None:
    declared = set(schema.leaves(schema.base()))
    for old, new in renames.KEYS.items():
        assert old not in declared
        if not new.startswith(("model.", "losses.", "data.options.")):
            assert new in declared, new
    for what, room in (("task", "tasks"), ("model", "models"), ("loss", "losses")):
        assert set(renames.NAMES[what].values()) <= set(registry.names(room))
        assert not set(renames.NAMES[what]) & set(registry.names(room))
    metrics = renames.NAMES["metric (train.best_metric)"]
    assert set(metrics.values()) <= set(scoring.known_metrics())
    assert not set(metrics) & set(scoring.known_metrics())


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--config.data.fit=letterbox", "unknown config key 'data.fit'; it was renamed to 'data.resize'"),
        ("--config.train.accumulate=2", "it was renamed to 'train.grad_accum_steps'"),
        ("--config.eval.resamples=50", "it was renamed to 'eval.bootstrap_samples'"),
        ("--config.model.name=seed_cnn", "unknown model 'seed_cnn'; it was renamed to 'three_layer_cnn'"),
        ("--config.data.fitt=letterbox", "unknown config key 'data.fitt'; did you mean"),
    ],
)
def test_an_old_name_on_the_command_line_is_refused_with_the_new_one(flag: str, message: str) -> None:
    config = schema.base()
    config.model.name = "second_look"
    config.losses.cross_entropy = ConfigDict()
    assert_refused(lambda: resolve(config, [flag]), message)


def test_an_old_key_in_a_config_is_refused_before_missing_ones() -> None:
    values = schema.to_json(schema.base())
    values["data"]["fit"] = values["data"].pop("resize")
    assert_refused(lambda: schema.check_keys(schema.from_json(values)), "it was renamed to 'data.resize'")
