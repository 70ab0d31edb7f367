"""Timing of whole commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import start
from imgloc.errors import UserError
from tests import processes


def test_a_missing_config_is_reported_with_what_to_do() -> None:
    with pytest.raises(UserError, match=r"no recipe file .nowhere\.py.; possible: a Python file"):
        start.timed("nowhere.py", processes=1, say=lambda line: None)


def test_rows_are_medians_in_milliseconds_and_warm_uses_the_cache_of_cold(monkeypatch: pytest.MonkeyPatch) -> None:
    caches: list[str] = []

    def first_step(config: str, workdir: Path, environment: dict[str, str]) -> float:
        assert not workdir.exists()
        caches.append(environment["XDG_CACHE_HOME"])
        return 8.0 + len(caches)

    monkeypatch.setattr(start, "first_step_seconds", first_step)
    monkeypatch.setattr(start, "help_seconds", lambda environment: 0.25)
    rows = start.timed("configs/digits_cnn.py", processes=2, say=lambda line: None)
    assert [(row["work"], row["median_ms"], row["n"]) for row in rows] == [
        ("help", 250.0, 2), ("train_cold", 10_000.0, 2), ("train_warm", 11_000.0, 2),
    ]  # fmt: skip
    assert caches[0] == caches[1] != caches[2] == caches[3]


def test_a_real_run_reaches_its_first_step(tmp_path: Path, cache: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    environment = {**processes.environment(cache), **processes.HASTE}
    recipe = tmp_path / "tiny.py"
    text = Path("configs/digits_lstm.py").read_text()
    recipe.write_text(text.replace("    return config", "    config.model.features = config.model.hidden = 8\n    return config"))
    seconds = start.first_step_seconds(str(recipe), tmp_path / "run", environment)
    assert 0.5 < seconds < 600
    recipe.write_text("nothing")
    with pytest.raises(UserError, match="fails: imgloc train: recipe"):
        start.first_step_seconds(str(recipe), tmp_path / "other", environment)
