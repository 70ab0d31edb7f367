"""A prepared data set from elsewhere imports no class but TFDS's features."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from imgloc.data.prepared.opening import open_prepared
from tests.refusals import assert_refused

TFDS = "tensorflow_datasets.core"
SCALAR = {"pythonClassName": "tensorflow_datasets.core.features.scalar.Scalar"}


@pytest.mark.parametrize(
    "name", ["evil.Feature", "os.system", "tensorflow_datasets.core.features.evil", "tensorflow_datasets.core.utils.X"]
)
@pytest.mark.parametrize("key", ["pythonClassName", "type"])
def test_another_class_is_refused_and_not_imported(name: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "evil.py").write_text("import pathlib; pathlib.Path('executed').touch()")
    folder = tmp_path / "some_set" / "1.0.0"
    folder.mkdir(parents=True)
    features = {"featuresDict": {"features": {"a": SCALAR, "b": {key: name}}}}
    (folder / "features.json").write_text(json.dumps(features))
    (folder / "dataset_info.json").write_text(json.dumps({"name": "some_set", "version": "1.0.0", "fileFormat": "array_record"}))
    assert_refused(lambda: open_prepared("some_set", str(tmp_path)), "features.json", name, "not imported")
    assert "evil" not in sys.modules
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", ["{", "[" * 100_000, ""])
def test_a_damaged_features_file_is_refused(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "some_set" / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "features.json").write_text(content)
    assert_refused(lambda: open_prepared("some_set", str(tmp_path)), "features.json")


def test_a_class_inside_json_held_as_text_or_behind_a_link_is_refused(tmp_path: Path) -> None:
    hidden = json.dumps({"x": {"type": "evil.Feature", "content": {}}})
    content = {"pythonClassName": f"{TFDS}.features.features_dict.FeaturesDict", "jsonFeature": {"json": hidden}}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "features.json").write_text(json.dumps(content))
    (tmp_path / "some_set").mkdir()
    (tmp_path / "some_set" / "1.0.0").symlink_to(elsewhere)
    assert_refused(lambda: open_prepared("some_set", str(tmp_path)), "features.json", "evil.Feature")
