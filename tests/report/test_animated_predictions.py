"""Answers as they form: SVG that is whole by itself, moves in step, and stands at the answer where nothing may move."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from imgloc.report import animation
from imgloc.report.load import load_run
from imgloc.report.page import write_report
from imgloc.report.partial_predictions import figures
from imgloc.runs import partial_predictions, prediction_table
from imgloc.runs.run_dir import RunDir
from tests.refusals import assert_refused
from tests.report.test_browser import BROWSER, measure
from tests.report.test_page import page_of

MakeRun = Callable[..., Path]
SVG = "{http://www.w3.org/2000/svg}"
S = 12


def add_steps(
    path: Path, ids: list[int], *, boxes: bool = True, size: tuple[int, int] = (60, 40), grid: str = "rows", looks: Any = None
) -> list[str]:
    """Saves steps of some rows of a run, by their number; returns their ids."""
    run, rng = RunDir(path), np.random.default_rng(0)
    meta = prediction_table.read_meta(run.rows("test")) or {}
    table = prediction_table.read_rows(run.rows("test"), expected=meta)
    count = len(run.read(run.data)["classes"])
    by_rows = np.tril(np.ones((S, S)))[:, :, None]
    passes = np.concatenate([by_rows[1::2] * np.ones(S), np.ones((6, S, 1)) + by_rows[1::2].swapaxes(1, 2)]) / 2
    seen = {"rows": by_rows, "passes": passes, "shuffled": (rng.permutation(S * S).reshape(S, S) < np.arange(S, 145, S)[:, None, None])}
    seen["looks"] = np.ones((S, 1, 1))
    for i in ids:
        outputs: dict[str, Any] = {"logits": np.cumsum(rng.standard_normal((S, count)), axis=0), "seen": seen[grid].astype(float)}
        if boxes:
            low = rng.uniform(0, 0.5, (S, 2))
            outputs["box"] = np.concatenate([low, low + 0.4], axis=1)
        outputs |= {} if looks is None else {"looks": np.asarray(looks)}
        content = np.array([0, 0.25, 1, 0.75])
        steps = partial_predictions.summarized(table[i]["id"], "chosen", outputs, content, table[i]["label"])
        png = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(png, "PNG")
        partial_predictions.write(run, "test", steps, png.getvalue(), meta)
    return [table[i]["id"] for i in ids]


def pictures_of(run: Path, tmp_path: Path) -> dict[str, str]:
    write_report([str(run)], tmp_path / "report.html", pictures=tmp_path / "pictures")
    return {path.stem: path.read_text() for path in (tmp_path / "pictures").iterdir()}


def keyframes(svg: str) -> dict[str, list[tuple[float, str]]]:
    """Percent and declaration of each frame, by the name of the animation."""
    found = re.findall(r"@keyframes ([\w-]+)\{((?:[\d.]+%\{[^}]*\})+)\}", svg)
    assert len(found) == svg.count("@keyframes")
    return {name: [(float(at), text) for at, text in re.findall(r"([\d.]+)%\{([^}]*)\}", frames)] for name, frames in found}


@pytest.mark.parametrize(("boxes", "grid"), [(True, "passes"), (False, "rows"), (True, "shuffled"), (True, "looks")])
def test_a_picture_is_whole_by_itself_and_ends_with_the_answer(make_run: MakeRun, tmp_path: Path, boxes: bool, grid: str) -> None:
    names = tuple(f'<class & "{i}"> of a long name' for i in range(10))
    run = make_run("a", n=20, boxes=boxes, classes=names, thumbnails=False)
    (example,) = add_steps(run, [3], boxes=boxes, grid=grid)
    ((stem, svg),) = pictures_of(run, tmp_path).items()
    assert stem == example
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    allowed = {"svg", "title", "desc", "style", "g", "rect", "path", "text", "tspan", "image", "use"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed
    assert len(root.findall(f".//{SVG}image")) == 1
    links = [value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")]
    assert all(link.startswith(("data:image/png;base64,", "#steps-0-0-image")) for link in links)
    assert svg.count("http") == 1, "the name of SVG itself"
    assert not re.search(r"url\(|@import|<script|\son\w+=", svg)
    title, told = (root.findtext(f"{SVG}{name}") or "" for name in ("title", "desc"))
    assert example in title
    assert names[0][:6] in title
    assert f"after {S} of {S} steps" in told
    assert ("IoU" in told) == boxes
    shown = [text for text in root.iter(f"{SVG}text") if "hidden" not in text.get("style", "")]
    assert f"step {S} of {S}" in {text.text for text in shown}
    assert len(svg) < 60_000


def test_everything_moves_in_step_and_rests_at_the_end(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, thumbnails=False)
    add_steps(run, [3], grid="passes")
    (svg,) = pictures_of(run, tmp_path).values()
    line = animation.Timeline("steps-0-0", S)
    assert line.seconds == pytest.approx(line.reading + animation.PAUSE)
    assert line.percent(S) / 100 * line.seconds == pytest.approx(line.reading, abs=0.02)
    assert {float(seconds) for seconds in re.findall(r"animation:[\w-]+ ([\d.]+)s", svg)} == {line.seconds}
    begins = {line.percent(i) for i in range(S)}
    found = keyframes(svg)
    for name, frames in found.items():
        percents = [percent for percent, _ in frames]
        assert percents == sorted(set(percents)), name
        assert (percents[0], percents[-1]) == (0, 100), name
        assert set(percents[:-1]) <= begins, name
        assert frames[-1][1] == frames[-2][1], f"{name} changes during the pause"
    assert f'class="p {line.name}-b"' in svg
    assert {name.removeprefix(line.name + "-")[0] for name in found} == set("vbanrk"), "veil, box, answer, number, progress, bars"
    (moving,) = re.findall(r"@media screen and \(prefers-reduced-motion:no-preference\)\{(.*)\}</style>", svg)
    assert moving.count("animation:") == svg.count("animation:") == len(found), "motion where it is not wanted"
    kept = partial_predictions.read(RunDir(run), "test", prediction_table.read_meta(RunDir(run).rows("test")) or {})[0]
    share = re.findall(rf'{line.name}-k\d+" [^>]*transform="scale\(([\d.]+) 1\)"', svg)
    np.testing.assert_allclose([float(value) for value in share], np.maximum(kept.probabilities[-1], 0.001), atol=1e-4)


def test_few_steps_hold_and_then_glide_many_glide_into_each_other() -> None:
    held = keyframes(animation.moving(animation.Timeline("a", 3), "k", ["x:0", "x:5", "x:5"]))["a-k"]  # three seconds
    seconds = [(round(at / 100 * (3 + animation.PAUSE), 2), text) for at, text in held]
    assert seconds == [(0, "x:0"), (0.75, "x:0"), (1, "x:5"), (2, "x:5"), (5.6, "x:5")]
    many = animation.Timeline("a", 30)
    flowing = keyframes(animation.moving(many, "k", [f"x:{i}" for i in range(30)]))["a-k"]
    assert [at for at, _ in flowing[:-1]] == [many.percent(i) for i in range(30)]


#: Windows of a quarter of the sides around 12 places; the second reaches beyond the left edge, the third lies wholly beyond it.
PLACES = np.stack([np.linspace(0.3, 0.8, S), np.linspace(0.75, 0.25, S) ** 2], axis=1)
PLACES[1:3] = [[0.05, 0.5], [-0.5, 0.5]]
LOOKS = np.concatenate([PLACES - 0.125, PLACES + 0.125], axis=1)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", text)]


def test_a_model_that_looks_around_shows_its_windows_and_its_path(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, thumbnails=False)
    add_steps(run, [3], looks=LOOKS, size=(60, 40))
    (svg,) = pictures_of(run, tmp_path).values()
    ElementTree.fromstring(svg)
    name, (width, height), line = "steps-0-0", (172, 114.67), animation.Timeline("steps-0-0", S)
    found = keyframes(svg)
    windows = [numbers(text) for _, text in found[f"{name}-l"][:-1]]
    size = np.array([width, height, width, height])
    cut = np.clip(LOOKS, 0, 1)
    wanted = np.concatenate([cut[:, :2], cut[:, 2:] - cut[:, :2]], axis=1) * size
    np.testing.assert_allclose(windows, wanted, atol=0.06, err_msg="the part of each window that lies in the picture")
    assert windows[2][2] == 0, "nothing is drawn of one that lies beyond"
    assert [percent for percent, _ in found[f"{name}-l"][:-1]] == [line.percent(i) for i in range(S)], "they jump, and do not glide"
    assert re.search(rf"{name}-l\{{animation:\S+ \S+ step-end", svg)
    (still,) = {element.attrib["x"] + " " + element.attrib["width"] for element in ElementTree.fromstring(svg).iter(f"{SVG}rect")
                if f"{name}-l" in element.get("class", "")}  # fmt: skip
    np.testing.assert_allclose(numbers(still), wanted[-1, [0, 2]], atol=0.06, err_msg="without motion: the last one")
    centers = PLACES * [width, height]
    np.testing.assert_allclose([numbers(text) for _, text in found[f"{name}-c"][:-1]], centers, atol=0.06)
    for i in range(1, S):  # each part of the path comes with its look, and stays
        assert found[f"{name}-w{i}"] == [(0, "visibility:hidden"), (line.percent(i), "visibility:visible"), (100, "visibility:visible")]
        (way,) = re.findall(rf'<path class="w {name}-w{i}" d="([^"]*)"', svg)
        np.testing.assert_allclose(numbers(way), [*centers[i - 1], *centers[i]], atol=0.06)
    for frame, step in enumerate(range(2, S + 1, 2)):
        drawn = numbers(re.findall(r'<path class="w" style="[^"]*" d="([^"]*)"', svg)[frame])
        np.testing.assert_allclose(np.reshape(drawn, (-1, 2)), centers[:step], atol=0.06, err_msg="a frame shows the path so far")
    first = f"{SVG}path[@class='w {name}-w1']"
    (around,) = (part for part in ElementTree.fromstring(svg).iter(f"{SVG}svg") if part.find(first) is not None)
    assert (around.get("width"), around.get("height")) == (f"{width:g}", f"{height:g}"), "cut at the picture's edges"


@pytest.mark.parametrize("boxes", [True, False])
def test_it_is_told_where_a_model_looked_last(make_run: MakeRun, boxes: bool) -> None:
    run = make_run("a", n=20, thumbnails=False)
    report = load_run(str(run), "a", "test")
    x0, y0, x1, y1 = report.model.rows[3]["boxes"][0]
    for inside, x in ((True, (x0 + x1) / 2), (False, x1 + 0.01)):
        look = [x - 0.1, (y0 + y1) / 2 - 0.1, x + 0.1, (y0 + y1) / 2 + 0.1]
        add_steps(run, [3], boxes=boxes, looks=[look] * S)
        (figure,) = figures(report, "test", 0)
        told = ElementTree.fromstring(figure.svg).findtext("desc") or ""
        where = f"it looked last at {100 * x:.0f} % of the width and {100 * (y0 + y1) / 2:.0f} % of the height"
        assert told.endswith(f"{where}, {'within' if inside else 'beside'} the true box")
        assert ("IoU" in told) == boxes
        assert '<rect class="t"' in figure.svg, "the true box, with or without a predicted one"
        assert figure.marks == {"true", "look"} | ({"predicted"} if boxes else set())
    add_steps(run, [3], boxes=boxes)
    (figure,) = figures(report, "test", 0)
    assert figure.marks == ({"true", "predicted"} if boxes else set())
    assert "looked last" not in figure.svg
    assert "#ffdf3a" not in figure.svg, "a model that does not look around has none of it"


def test_a_page_says_what_is_outlined_and_nothing_else(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, boxes=False, thumbnails=False)
    for looks in (LOOKS, None):
        add_steps(run, [3], boxes=False, looks=looks)
        words = " ".join(page_of(write_report([str(run)], tmp_path / "report.html")).words)
        assert ("window that is looked through, its centre marked, and the path to it" in words) == (looks is not None)
        assert ("thinner where it was seen coarsely" in words) == (looks is not None)
        assert "true box (solid)" not in words
        assert "box as predicted by then" not in words


def test_the_veil_lies_over_what_is_unread(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, thumbnails=False)
    add_steps(run, [3], grid="passes")
    (svg,) = pictures_of(run, tmp_path).values()
    shown = [name for name, frames in keyframes(svg).items() if "-v" in name and frames[0][1] == "visibility:visible"]
    assert len(shown) == 5 + 6, "stripes of rows, of which one has been read, and of columns"
    once, more = (float(value) for value in re.findall(r'<g opacity="([\d.]+)">', svg))
    assert once == pytest.approx(0.82 * 5 / 9, abs=1e-3), "half of the reading is written as 4"
    assert 1 - (1 - once) * (1 - more) == pytest.approx(0.82, abs=1e-3)
    assert 'viewBox="0 3 12 6"' in svg, "the picture fills a part of what is read"


def test_a_page_shows_them_and_other_pages_stay_as_they_are(make_run: MakeRun, tmp_path: Path) -> None:
    cnn, lstm = make_run("cnn", n=20), make_run("lstm", n=20)
    before = write_report([str(cnn)], tmp_path / "before.html").read_text()
    assert "Step by step" not in before
    assert "@keyframes" not in before
    wanted = "imgloc evaluate RUN --steps ID, where the model has an output 'steps'"
    assert_refused(lambda: write_report([str(cnn)], tmp_path / "before.html", pictures=tmp_path / "p"), "--pictures", str(cnn), wanted)
    ids = add_steps(lstm, [3, 5, 7])
    partial_predictions.path_of(RunDir(lstm), "test", ids.pop()).with_suffix(".png").unlink()  # one without its picture is left out
    out = write_report([str(cnn), str(lstm)], tmp_path / "both.html", pictures=tmp_path / "pictures")
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == sorted(f"lstm-{name}.svg" for name in ids)
    text, page = out.read_text(), page_of(out)
    assert text.count("<desc>") == 2
    assert all(name in page.words for name in ids)
    assert "http" not in text.replace("http-equiv", "")
    assert all(svg.get("aria-label") or svg.get("aria-hidden") == "true" for svg in page.all("svg") if "preserveaspectratio" not in svg)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_pictures_are_written_over_earlier_ones_alone(make_run: MakeRun, tmp_path: Path) -> None:
    run, out = make_run("a", n=20, thumbnails=False), tmp_path / "report.html"
    second = add_steps(run, [3, 5])[1]
    own = tmp_path / "pictures" / f"{second}.svg"
    own.parent.mkdir()
    own.write_text("<svg>drawn by hand</svg>")
    assert_refused(lambda: write_report([str(run)], out, pictures=own.parent), "would overwrite", own.name, "choose another folder")
    assert [path.name for path in own.parent.iterdir()] == [own.name]
    assert own.read_text() == "<svg>drawn by hand</svg>"
    assert not out.exists()
    assert_refused(lambda: write_report([str(run)], out, pictures=own), "is a file; it wants a folder")
    assert not out.exists()
    own.unlink()
    assert pictures_of(run, tmp_path) == pictures_of(run, tmp_path)


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")
def test_a_browser_draws_them_within_any_width(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, thumbnails=False, classes=tuple(f"a_long_class_name_without_any_space_{i}" for i in range(10)))
    add_steps(run, [3, 5], size=(30, 90), grid="passes", looks=LOOKS)
    measured, console = measure(tmp_path, write_report([str(run)], tmp_path / "report.html"), (360, 1440))
    assert console == []
    for frame in measured:
        assert frame["scroll"] <= frame["width"]
        steps = [size for size in frame["figures"] if abs(size[0] / size[1] - 340 / 277) < 0.2]
        assert len(steps) >= 2
        assert min(size[0] for size in steps) >= 300
