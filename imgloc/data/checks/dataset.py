"""Faults of the data set that a config names."""

from __future__ import annotations

from ml_collections import ConfigDict

from imgloc.config.build import make_source
from imgloc.config.registry import find
from imgloc.data.checks.examples import check_sources
from imgloc.data.checks.folder import Findings
from imgloc.errors import UserError


def check_data(data: ConfigDict, seed: int, *, thorough: bool) -> Findings | None:
    """What is wrong with the data set that a config names.

    Where its source's module says it of its own files (`check_data`), by that; where it has none, or that says nothing (None), by all
    its examples if that is to be `thorough`, and None if not: cheap enough for each start of a training is only what a source can
    say by itself.
    """
    module = find("data.sources", data.source)
    if hasattr(module, "check_data"):
        found: Findings | None = module.check_data(thorough=thorough, **data.options)
        if found is not None:
            return found
    if not thorough:
        return None
    sources = {}
    for split in ("train", "validation", "test"):
        try:
            sources[split] = make_source(data, split, seed)
        except UserError:
            if split == "train":
                raise
    return check_sources(sources)
