"""Faults of the data set that a config names."""

from __future__ import annotations

from ml_collections import ConfigDict

from imgloc.config.build import make_source
from imgloc.config.registry import find
from imgloc.data.checks.examples import check_sources
from imgloc.data.checks.folder import Findings
from imgloc.errors import UserError


def check_data(data: ConfigDict, seed: int, *, thorough: bool) -> Findings | None:
    """Returns the faults of the data set that a config names.

    Uses `check_data` of the source's module, which checks its files. If the module has no such function, or it returns None, all
    examples are checked if `thorough`. Otherwise returns None, because checking examples takes too long for the start of a
    training run.
    """
    module = find("data.sources", data.source)
    if hasattr(module, "check_data"):
        findings: Findings | None = module.check_data(thorough=thorough, **data.options)
        if findings is not None:
            return findings
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
