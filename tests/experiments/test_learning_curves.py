"""Pictures of experiments: the arms that have runs, medians and ranges, and equal bytes."""

from __future__ import annotations

from matplotlib.figure import Figure

from imgloc.experiments.curves import Panel, band, learning_curves

RUNS = {
    "a": [{"validation": [[10, 0.5], [20, 0.7]]}, {"validation": [[10, 0.6], [20, 0.8], [30, 0.9]]}],
    "b": [{"validation": [[10, None], [20, 0.7]]}],
}


def draw(runs: object, **options: object) -> str:
    panels = [Panel("first", ["a", "b"], log=True), Panel("second", ["c"])]
    picture = learning_curves({"runs": runs}, panels, lambda _, __, step: step / 10, "time", "error", error=True, **options)  # type: ignore[arg-type]
    return picture.decode() if "form" not in options else str(picture[:4])


def test_arms_and_panels_that_have_runs_are_drawn_with_equal_bytes() -> None:
    picture = draw(RUNS)
    assert "first" in picture
    assert "second" not in picture
    assert picture == draw(RUNS)
    assert "</svg>" in draw({})
    assert "PNG" in draw(RUNS, form="png")


def test_a_band_has_medians_and_ranges() -> None:
    axes = Figure().subplots()
    band(axes, "a", [1, 2], [[0.2, 0.4, 0.9], [0.5]], lambda x: 10 * x)
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[10, 0.4], [20, 0.5]]
    (filled,) = axes.collections
    low, high = filled.get_datalim(axes.transData).intervaly
    assert (low, high) == (0.2, 0.9)
    band(axes, "none", [], [])
    assert len(axes.lines) == 1
