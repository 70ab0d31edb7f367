from __future__ import annotations

from imgloc.data.checks.faults import KINDS


def test_every_kind_has_an_effect() -> None:
    assert all(kind.effect and not kind.effect.endswith(".") for kind in KINDS.values())
    assert {name for name, kind in KINDS.items() if kind.serious} > {"unreadable_image", "duplicate_image", "normalised_box"}
    assert not KINDS["edge_box"].serious
