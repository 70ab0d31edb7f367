"""What keeps a page legible: distinct colours, names that break between words, small matrices, axes that do not enlarge noise."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imgloc.reporting import partial_predictions
from imgloc.reporting.confusion import confusion
from imgloc.reporting.curves import run_style
from imgloc.reporting.figures import Line, Style, line_chart
from imgloc.reporting.load import load_run
from imgloc.reporting.page import write_report
from imgloc.reporting.templates import FOLDER
from imgloc.runs.run_dir import RunDir

MakeRun = Callable[..., Path]

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])


def linear_rgb(color: str) -> np.ndarray:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(color: str, seen: np.ndarray) -> np.ndarray:
    """CIELAB of a colour as seen through a matrix on linear RGB (deuteranopia: Machado, Oliveira and Fernandes 2009)."""
    linear = np.clip(seen @ linear_rgb(color), 0, 1)
    xyz = TO_XYZ @ linear / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first: str, second: str, seen: np.ndarray) -> float:
    return float(np.linalg.norm(lab(first, seen) - lab(second, seen)))


def test_the_colours_of_runs_are_distinct_with_and_without_red_and_green() -> None:
    colors = re.findall(r"--run-\d: (#[0-9a-f]{6})", (FOLDER / "theme.css").read_text())
    assert len(colors) == 12, "six in light mode, six in dark mode"
    for theme in (colors[:6], colors[6:]):
        for first, second in itertools.combinations(theme, 2):
            assert distance(first, second, np.eye(3)) > 40, (first, second)
            assert distance(first, second, DEUTERANOPIA) > 22, (first, second)
    assert distance("#0072b2", "#2f9fd8", np.eye(3)) < 40, "two blues of an earlier version"


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2."""
    low, high = sorted(float(TO_XYZ[1] @ linear_rgb(color)) for color in (first, second))
    return (high + 0.05) / (low + 0.05)


def test_text_has_a_contrast_of_4_5_and_lines_have_one_of_3() -> None:
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01), "a published pair"
    themes = (FOLDER / "theme.css").read_text().split("*, *::before")[0].split("prefers-color-scheme: dark")
    assert len(themes) == 2
    for theme in themes:
        color = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        for background in ("paper", "sheet", "notice"):
            for text in ("ink", "muted", "accent", "true", "wrong"):
                assert contrast(color[text], color[background]) >= 4.5, (text, background)
        assert contrast(color["ink"], color["heat"]) >= 4.5
        for line in [*(f"run-{i}" for i in range(6)), "base-0", "base-1"]:
            assert contrast(color[line], color["paper"]) >= 3, line


def test_standalone_pictures_have_the_colours_of_the_page() -> None:
    light, dark = (FOLDER / "theme.css").read_text().split("prefers-color-scheme: dark")
    for declarations, theme in ((partial_predictions.LIGHT, light), (partial_predictions.DARK, dark)):
        for declaration in declarations.split(";"):
            assert declaration.replace(":", ": ") in theme


def test_lines_of_runs_differ_in_more_than_colour() -> None:
    styles = [run_style(i) for i in range(24)]
    assert len({(style.dash, style.marker) for style in styles}) == 24
    lines = [Line(style, list(range(100)), [float(i)] * 100) for i, style in enumerate(styles[:3])]
    drawn = line_chart(lines, x_label="step").axes[0].get_lines()
    assert [line.get_marker() for line in drawn] == ["o", "s", "^"]
    marked = [set(line.get_markevery()) for line in drawn]
    assert all(5 <= len(points) <= 8 for points in marked)
    assert not marked[0] & marked[1] & marked[2]
    assert line_chart(lines[:1], x_label="step").axes[0].get_lines()[0].get_markevery() == [], "one line needs no marker"


def test_names_break_after_separators_alone(make_run: MakeRun, tmp_path: Path) -> None:
    page = write_report([str(make_run("a_long/name-of.a_run")), str(make_run("b", seed=1))], tmp_path / "page.html").read_text()
    assert "name-<wbr>of.<wbr>a_<wbr>run" in page
    assert "overflow-wrap: anywhere" not in next(line for line in page.splitlines() if line.startswith(".results {"))


@pytest.mark.parametrize(("classes", "width"), [(("a", "b"), (180, 300)), (tuple("0123456789"), (500, 560))])
def test_the_matrix_of_few_classes_is_small(make_run: MakeRun, tmp_path: Path, classes: tuple[str, ...], width: tuple[int, int]) -> None:
    page = write_report([str(make_run("a", classes=classes))], tmp_path / "page.html").read_text()
    (found,) = re.findall(r'<figure style="max-width: (\d+)px">', page)
    assert width[0] <= int(found) <= width[1]


@pytest.mark.parametrize(
    ("values", "limits"), [((0.731, 0.734), (0.68, 0.79)), ((1.0, 1.0), (0.9, 1.0)), ((0.0, 0.001), (0.0, 0.1)), ((0.1, 0.9), (0.05, 0.95))]
)
def test_the_axis_of_a_share_is_no_narrower_than_a_tenth_and_stays_in_0_to_1(
    values: tuple[float, ...], limits: tuple[float, float]
) -> None:
    figure = line_chart([Line(Style("run-0", "-"), [1, 2], values)], x_label="step", share=True)
    low, high = figure.axes[0].get_ylim()
    assert limits[0] <= low <= min(values)
    assert max(values) <= high <= limits[1]
    assert high - low >= 0.1 - 1e-9
    plain = line_chart([Line(Style("run-0", "-"), [1, 2], (0.731, 0.734))], x_label="step").axes[0].get_ylim()
    assert plain[1] - plain[0] < 0.05, "a loss may be read closely"


def test_the_number_of_validation_images_is_in_the_caption(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("a")
    log = RunDir(path).metrics
    log.write_text(log.read_text().replace('"kind": "validation"', '"kind": "validation", "images": 1234'))
    page = write_report([str(path)], tmp_path / "page.html").read_text()
    assert "Validation: Top-1 accuracy (n = 1,234)" in page
    assert "Validation: images" not in page


def test_a_run_scored_by_its_last_model_alone_stands_beside_others(make_run: MakeRun, tmp_path: Path) -> None:
    first, second = RunDir(make_run("a")), RunDir(make_run("b", seed=1))
    for path in sorted((second.path / "rows").iterdir()):
        text = path.read_text().replace('"step": 2500', '"step": 3000').replace('"checkpoint": "best"', '"checkpoint": "last"')
        path.with_name(path.name.replace("test", "test@last", 1)).write_text(text)
        path.unlink()
    page = write_report([str(first.path), str(second.path)], tmp_path / "page.html").read_text()
    assert "best checkpoint, step 2500" in page
    assert "last checkpoint, step 3000" in page


def test_answers_that_are_not_finite_are_not_in_the_column_of_a_class(make_run: MakeRun, tmp_path: Path) -> None:
    report = load_run(str(make_run("a", classes=("a", "b", "c"), wrong=0.0)), "a", "test")
    broken = [{**row, "finite": False, "top_labels": [0]} if i < 30 else row for i, row in enumerate(report.model.rows)]
    found = confusion(dataclasses.replace(report, scored={"model": dataclasses.replace(report.model, rows=broken)}), 0)
    assert found is not None
    assert found.errors == 30
    assert {predicted for _, predicted, _, _ in found.most_frequent} == {"none (not finite)"}


def test_a_share_that_may_be_negative_is_inside_its_axis() -> None:
    figure = line_chart([Line(Style("run-0", "-"), [1, 2], [-0.8, -0.7])], x_label="step", share=True)
    low, high = figure.axes[0].get_ylim()
    assert low < -0.8 < -0.7 < high
