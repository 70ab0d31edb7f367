"""The report in Python, as `imgloc report` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from imgloc import files
from imgloc.config.saved import allow_imports as allow
from imgloc.errors import as_names
from imgloc.reporting.load import folder_and_split
from imgloc.reporting.page import write_report
from imgloc.reporting.sweep_page import is_sweep, write_sweep_report
from imgloc.sweeps.folder import SweepDir


def report(
    runs: str | Path | Sequence[str | Path],
    out: str | Path | None = None,
    *,
    split: str = "test",
    pictures: str | Path | None = None,
    allow_imports: Sequence[str] = (),
) -> Path:
    """Write a self-contained web page about one evaluated run, about several side by side, or about a sweep; returns its path.

    The folder of a sweep alone gives the page of the sweep, on the split that it was scored on. Beside other folders it stands for its
    finished runs. The page is by default `report.html` in the first folder. `pictures` is a folder to which animations of partial
    predictions are written as SVG files too. Raises UserError for a folder that is not an evaluated run.
    """
    allow(*as_names(allow_imports))
    paths = [runs] if isinstance(runs, (str, Path)) else list(runs)
    first = folder_and_split(str(paths[0]), split)[0] if paths else ""
    page = Path(out) if out is not None else Path(first) / "report.html"
    if is_sweep(paths) and pictures is None:
        return write_sweep_report(Path(paths[0]), page)
    expanded = [run for path in paths for run in expand_sweep(Path(path))]
    return write_report(expanded, page, split=split, pictures=None if pictures is None else Path(pictures))


def expand_sweep(path: Path) -> list[str]:
    """Return the finished runs in the folder of a sweep, or its run folders where it has no sweep.json; any other path as it is."""
    if (path / "config.json").is_file() or not path.is_dir():
        return [str(path)]
    sweep = SweepDir(path)
    if sweep.summary.is_file():
        runs = [point["run"] for point in files.read_json(sweep.summary)["points"] if point["state"] == "finished"]
        return [str(path / run) for run in runs] or [str(path)]
    return [str(run.parent) for run in sorted(path.glob("*/config.json"))] or [str(path)]
