"""Comparison of groups of runs in Python, as `imgloc compare` prints it."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from imgloc.api.coco_results import check_options
from imgloc.api.reporting import expand_sweep
from imgloc.config.saved import allow_imports as allow
from imgloc.errors import UserError, as_names, look_up
from imgloc.evaluation.aggregates import aggregate_interval, performance_profile
from imgloc.evaluation.group_comparison import GroupComparison, compare_groups
from imgloc.reporting import comparison_tables as tables
from imgloc.reporting.run_groups import NamedPaths, load_groups
from imgloc.types import FloatArray

if TYPE_CHECKING:
    import pandas as pd

Paths: TypeAlias = str | Path | Sequence[str | Path]


@dataclass(frozen=True, eq=False)
class ComparisonResults:
    """Groups of runs side by side. A notebook shows the table."""

    split: str
    samples: int
    comparison: GroupComparison = field(repr=False)

    @property
    def table(self) -> pd.DataFrame:
        """One row for each metric and group: the mean of its runs and the difference from the first group, with 95 % intervals.

        The columns are metric, group, runs, images, over, mean, low, high, difference, difference_low, difference_high, p,
        p_corrected, smallest and verdict; where a size is given also seeds_needed and images_needed.
        """
        import pandas as pd

        return pd.DataFrame(tables.records(self.comparison))

    def to(self, format: str) -> str:  # noqa: A002  (the term of the field)
        """Return the table as text: `markdown`, `csv`, `latex` (with booktabs) or `html`."""
        return tables.as_text(self.comparison, look_up("format", format, dict.fromkeys(tables.FORMATS, format)))

    def profile(self, metric: str) -> pd.DataFrame:
        """The performance profile of a metric (Agarwal et al., 2021): the share of the runs of each group above each threshold.

        One row for each group and threshold: group, threshold, share, low, high. The thresholds are the values of all runs, and the
        95 % intervals those of a bootstrap over runs. Raises UserError for a metric that was not compared.
        """
        import pandas as pd

        levels = look_up("metric", metric, self.comparison.levels)
        thresholds_s = np.unique([value for level in levels.values() for value in level.values])

        def shares(score_xkx1: FloatArray) -> FloatArray:
            return performance_profile(score_xkx1, thresholds_s)

        frames = []
        for name, level in levels.items():
            share, low, high = aggregate_interval(np.array(level.values)[:, None], shares, samples=self.samples)
            frames.append(pd.DataFrame({"group": name, "threshold": thresholds_s, "share": share, "low": low, "high": high}))
        return pd.concat(frames, ignore_index=True)

    def _repr_html_(self) -> str:
        return self.to("html")


def compare(
    runs: Paths | Mapping[str, Paths],
    *,
    split: str = "test",
    metrics: Sequence[str] = (),
    over: str = "",
    samples: int | None = None,
    difference: float | None = None,
    allow_imports: Sequence[str] = (),
) -> ComparisonResults:
    """Compare groups of evaluated runs on the same examples, the later groups with the first one.

    `runs` has run folders, folders of sweeps and patterns such as `runs/a-*`; runs whose configs differ in the seed alone are one group.
    A mapping, or a text NAME=PATTERN, names the groups. `metrics` are keys, by default the headline metrics of the task. `over` is what
    a verdict is about: other `images` (these trained models), other `seeds` (this test set) or `both`, which is the default where each
    group has two runs or more. `samples` is the number of samples of the bootstrap and of permutations, by default that of the configs.
    With `difference`, the numbers of seeds and images are computed that a difference of this size needs.

    Raises UserError for folders without rows of the split, for runs of other data, and for the other mistakes that `load_groups` and
    `compare_groups` name.
    """
    allow(*as_names(allow_imports))
    check_options(1 if samples is None else samples, None)
    if difference is not None and not (math.isfinite(difference) and difference > 0):
        raise UserError(f"difference must be a number above 0, got {difference}")
    groups = load_groups(list(_arguments(runs)), split)
    loaded = [run for each in groups.runs.values() for run in each]
    count = max(run.config.eval.bootstrap_samples for run in loaded) if samples is None else samples
    rows = {name: [run.rows for run in each] for name, each in groups.runs.items()}
    found = compare_groups(rows, groups.classes, groups.task, as_names(metrics), over=over, samples=count, difference=difference)
    return ComparisonResults(loaded[0].split, count, found)


def _arguments(runs: Paths | Mapping[str, Paths]) -> Iterator[NamedPaths]:
    """The run folders of each argument."""
    if isinstance(runs, Mapping):
        for name, paths in runs.items():
            yield NamedPaths(name, [run for path in _listed(paths) for run in expanded(path)])
        return
    for path in _listed(runs):
        name, is_named, pattern = path.partition("=")
        if is_named and name and "/" not in name and not os.path.exists(path) and not glob.glob(path):
            yield NamedPaths(name, expanded(pattern))
        else:
            yield NamedPaths("", expanded(path))


def _listed(paths: Paths) -> list[str]:
    return [str(paths)] if isinstance(paths, (str, Path)) else [str(path) for path in paths]


def expanded(pattern: str) -> list[str]:
    """Return the run folders of a path or a pattern; the folder of a sweep stands for its finished runs.

    Raises UserError for a pattern that matches no folder.
    """
    paths = [pattern] if os.path.exists(pattern) or not glob.has_magic(pattern) else sorted(filter(os.path.isdir, glob.glob(pattern)))
    if not paths:
        raise UserError(f"no folder matches '{pattern}'; possible: run folders, folders of sweeps, or patterns such as 'runs/a-*'")
    return [run for path in paths for run in expand_sweep(Path(path))]
