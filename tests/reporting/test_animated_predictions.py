"""Animated partial predictions: self-contained SVG that moves in step, and shows the final prediction where reduced motion is requested."""

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

from imgloc.reporting import animation
from imgloc.reporting.animated_image import AnimatedExample
from imgloc.reporting.load import load_run
from imgloc.reporting.page import write_report
from imgloc.reporting.partial_predictions import figures, standalone_picture, standalone_svg
from imgloc.runs import partial_predictions, prediction_table
from imgloc.runs.run_dir import RunDir
from tests.refusals import assert_refused
from tests.reporting.test_browser import BROWSER, browse, measure
from tests.reporting.test_page import page_of

MakeRun = Callable[..., Path]
SVG = "{http://www.w3.org/2000/svg}"
S = 12


def add_partial_predictions(
    path: Path, indices: list[int], *, boxes: bool = True, size: tuple[int, int] = (60, 40), grid: str = "rows", fixations: Any = None
) -> list[str]:
    """Save partial predictions for rows of a run, by their index; returns their ids."""
    run, rng = RunDir(path), np.random.default_rng(0)
    meta = prediction_table.read_meta(run.rows("test")) or {}
    table = prediction_table.read_rows(run.rows("test"), expected=meta)
    count = len(run.read(run.data)["classes"])
    by_rows = np.tril(np.ones((S, S)))[:, :, None]
    passes = np.concatenate([by_rows[1::2] * np.ones(S), np.ones((6, S, 1)) + by_rows[1::2].swapaxes(1, 2)]) / 2
    seen = {"rows": by_rows, "passes": passes, "shuffled": (rng.permutation(S * S).reshape(S, S) < np.arange(S, 145, S)[:, None, None])}
    seen["fixations"] = np.ones((S, 1, 1))
    for i in indices:
        outputs: dict[str, Any] = {"logits": np.cumsum(rng.standard_normal((S, count)), axis=0), "seen": seen[grid].astype(float)}
        if boxes:
            low = rng.uniform(0, 0.5, (S, 2))
            outputs["box"] = np.concatenate([low, low + 0.4], axis=1)
        outputs |= {} if fixations is None else {"fixations": np.asarray(fixations)}
        content = np.array([0, 0.25, 1, 0.75])
        partial = partial_predictions.summarize(table[i]["id"], "chosen", outputs, content, table[i]["label"])
        png = io.BytesIO()
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)).save(png, "PNG")
        partial_predictions.write(run, "test", partial, png.getvalue(), meta)
    return [table[i]["id"] for i in indices]


def pictures_of(run: Path, tmp_path: Path) -> dict[str, str]:
    write_report([str(run)], tmp_path / "report.html", pictures=tmp_path / "pictures")
    return {path.stem: path.read_text() for path in (tmp_path / "pictures").iterdir()}


def keyframes(svg: str) -> dict[str, list[tuple[float, str]]]:
    """(per cent, declaration) of each frame, by the name of the animation."""
    animations = re.findall(r"@keyframes ([\w-]+)\{((?:[\d.]+%\{[^}]*\})+)\}", svg)
    assert len(animations) == svg.count("@keyframes")
    return {name: [(float(at), text) for at, text in re.findall(r"([\d.]+)%\{([^}]*)\}", frames)] for name, frames in animations}


@pytest.mark.parametrize(("boxes", "grid"), [(True, "passes"), (False, "rows"), (True, "shuffled"), (True, "fixations")])
def test_a_picture_is_self_contained_and_ends_with_the_prediction(make_run: MakeRun, tmp_path: Path, boxes: bool, grid: str) -> None:
    names = tuple(f'<class & "{i}"> of a long name' for i in range(10))
    run = make_run("a", n=20, boxes=boxes, classes=names, thumbnails=False)
    (example,) = add_partial_predictions(run, [3], boxes=boxes, grid=grid)
    ((stem, svg),) = pictures_of(run, tmp_path).items()
    assert stem == example
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    allowed = {"svg", "title", "desc", "style", "g", "rect", "path", "text", "tspan", "image", "use"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= allowed
    assert len(root.findall(f".//{SVG}image")) == 1
    links = [value for element in root.iter() for key, value in element.attrib.items() if key.endswith("href")]
    assert all(link.startswith(("data:image/png;base64,", "#partial-0-0-image")) for link in links)
    assert svg.count("http") == 1, "the name of SVG itself"
    assert not re.search(r"url\(|@import|<script|\son\w+=", svg)
    title, description = (root.findtext(f"{SVG}{name}") or "" for name in ("title", "desc"))
    assert example in title
    assert names[0][:6] in title
    assert f"after {S} of {S} steps" in description
    assert ("IoU" in description) == boxes
    shown = [text for text in root.iter(f"{SVG}text") if "hidden" not in text.get("style", "")]
    assert f"step {S} of {S}" in {text.text for text in shown}
    assert len(svg) < 60_000


def test_everything_moves_in_step_and_rests_at_the_end(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, thumbnails=False)
    add_partial_predictions(run, [3], grid="passes")
    (svg,) = pictures_of(run, tmp_path).values()
    line = animation.Timeline("partial-0-0", S)
    assert line.seconds == pytest.approx(line.reading + animation.PAUSE)
    assert line.percent(S) / 100 * line.seconds == pytest.approx(line.reading, abs=0.02)
    assert {float(seconds) for seconds in re.findall(r"animation:[\w-]+ ([\d.]+)s", svg)} == {line.seconds}
    begins = {line.percent(i) for i in range(S)}
    animations = keyframes(svg)
    for name, frames in animations.items():
        percents = [percent for percent, _ in frames]
        assert percents == sorted(set(percents)), name
        assert (percents[0], percents[-1]) == (0, 100), name
        assert set(percents[:-1]) <= begins, name
        assert frames[-1][1] == frames[-2][1], f"{name} changes during the pause"
    assert f'class="p {line.name}-b"' in svg
    assert {name.removeprefix(line.name + "-")[0] for name in animations} == set("vbanrk"), "veil, box, answer, number, progress, bars"
    (moving,) = re.findall(r"@media screen and \(prefers-reduced-motion:no-preference\)\{(.*)\}</style>", svg)
    assert moving.count("animation:") == svg.count("animation:") == len(animations), "motion where reduced motion is requested"
    saved = partial_predictions.read(RunDir(run), "test", prediction_table.read_meta(RunDir(run).rows("test")) or {})[0]
    shares = re.findall(rf'{line.name}-k\d+" [^>]*transform="scale\(([\d.]+) 1\)"', svg)
    np.testing.assert_allclose([float(value) for value in shares], np.maximum(saved.probabilities[-1], 0.001), atol=1e-4)


def test_few_steps_pause_and_then_move_many_move_without_a_pause() -> None:
    held = keyframes(animation.interpolated_css(animation.Timeline("a", 3), "k", ["x:0", "x:5", "x:5"]))["a-k"]  # three seconds
    seconds = [(round(at / 100 * (3 + animation.PAUSE), 2), text) for at, text in held]
    assert seconds == [(0, "x:0"), (0.75, "x:0"), (1, "x:5"), (2, "x:5"), (5.6, "x:5")]
    many = animation.Timeline("a", 30)
    flowing = keyframes(animation.interpolated_css(many, "k", [f"x:{i}" for i in range(30)]))["a-k"]
    assert [at for at, _ in flowing[:-1]] == [many.percent(i) for i in range(30)]


#: Windows of a quarter of the sides around 12 centers; the second extends beyond the left edge, the third is completely outside.
CENTERS = np.stack([np.linspace(0.3, 0.8, S), np.linspace(0.75, 0.25, S) ** 2], axis=1)
CENTERS[1:3] = [[0.05, 0.5], [-0.5, 0.5]]
FIXATIONS = np.concatenate([CENTERS - 0.125, CENTERS + 0.125], axis=1)


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"-?[\d.]+", text)]


def test_a_model_with_attention_shows_its_windows_and_their_path(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, thumbnails=False)
    add_partial_predictions(run, [3], fixations=FIXATIONS, size=(60, 40))
    (svg,) = pictures_of(run, tmp_path).values()
    ElementTree.fromstring(svg)
    name, (width, height), line = "partial-0-0", (172, 114.67), animation.Timeline("partial-0-0", S)
    animations = keyframes(svg)
    windows = [numbers(text) for _, text in animations[f"{name}-l"][:-1]]
    size = np.array([width, height, width, height])
    cut = np.clip(FIXATIONS, 0, 1)
    expected = np.concatenate([cut[:, :2], cut[:, 2:] - cut[:, :2]], axis=1) * size
    np.testing.assert_allclose(windows, expected, atol=0.06, err_msg="the part of each window inside the picture")
    assert windows[2][2] == 0, "a window outside of the picture has no size"
    assert [percent for percent, _ in animations[f"{name}-l"][:-1]] == [line.percent(i) for i in range(S)], "windows jump and do not glide"
    assert re.search(rf"{name}-l\{{animation:\S+ \S+ step-end", svg)
    (still,) = {element.attrib["x"] + " " + element.attrib["width"] for element in ElementTree.fromstring(svg).iter(f"{SVG}rect")
                if f"{name}-l" in element.get("class", "")}  # fmt: skip
    np.testing.assert_allclose(numbers(still), expected[-1, [0, 2]], atol=0.06, err_msg="without motion: the last one")
    centers = CENTERS * [width, height]
    np.testing.assert_allclose([numbers(text) for _, text in animations[f"{name}-c"][:-1]], centers, atol=0.06)
    for i in range(1, S):  # each segment of the path appears with its fixation, and stays
        assert animations[f"{name}-w{i}"] == [
            (0, "visibility:hidden"),
            (line.percent(i), "visibility:visible"),
            (100, "visibility:visible"),
        ]
        (segment,) = re.findall(rf'<path class="w {name}-w{i}" d="([^"]*)"', svg)
        np.testing.assert_allclose(numbers(segment), [*centers[i - 1], *centers[i]], atol=0.06)
    for frame, step in enumerate(range(2, S + 1, 2)):
        drawn = numbers(re.findall(r'<path class="w" style="[^"]*" d="([^"]*)"', svg)[frame])
        np.testing.assert_allclose(np.reshape(drawn, (-1, 2)), centers[:step], atol=0.06, err_msg="a frame shows the path so far")
    first = f"{SVG}path[@class='w {name}-w1']"
    (parent,) = (part for part in ElementTree.fromstring(svg).iter(f"{SVG}svg") if part.find(first) is not None)
    assert (parent.get("width"), parent.get("height")) == (f"{width:g}", f"{height:g}"), "clipped at the picture's edges"


@pytest.mark.parametrize("boxes", [True, False])
def test_the_description_contains_the_last_fixation(make_run: MakeRun, boxes: bool) -> None:
    run = make_run("a", n=20, thumbnails=False)
    report = load_run(str(run), "a", "test")
    x0, y0, x1, y1 = report.model.rows[3]["boxes"][0]
    for inside, x in ((True, (x0 + x1) / 2), (False, x1 + 0.01)):
        fixation = [x - 0.1, (y0 + y1) / 2 - 0.1, x + 0.1, (y0 + y1) / 2 + 0.1]
        add_partial_predictions(run, [3], boxes=boxes, fixations=[fixation] * S)
        (figure,) = figures(report, 0)
        description = ElementTree.fromstring(figure.svg).findtext("desc") or ""
        place = f"its last fixation is at {100 * x:.0f} % of the width and {100 * (y0 + y1) / 2:.0f} % of the height"
        assert description.endswith(f"{place}, {'inside' if inside else 'outside'} the true box")
        assert ("IoU" in description) == boxes
        assert '<rect class="t"' in figure.svg, "the true box, with or without a predicted one"
        assert figure.outlines == {"true", "fixation"} | ({"predicted"} if boxes else set())
    add_partial_predictions(run, [3], boxes=boxes)
    (figure,) = figures(report, 0)
    assert figure.outlines == ({"true", "predicted"} if boxes else set())
    assert "last fixation" not in figure.svg
    assert "#ffdf3a" not in figure.svg, "a model without attention has no fixations"


def test_the_legend_has_what_is_outlined_and_nothing_else(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, boxes=False, thumbnails=False)
    for fixations in (FIXATIONS, None):
        add_partial_predictions(run, [3], boxes=False, fixations=fixations)
        words = " ".join(page_of(write_report([str(run)], tmp_path / "report.html")).words)
        assert ("window and center of the current fixation, and the path to it" in words) == (fixations is not None)
        assert ("only at low resolution" in words) == (fixations is not None)
        assert "true box (solid)" not in words
        assert "predicted box at this step" not in words


def test_the_veil_covers_what_has_not_been_read(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, thumbnails=False)
    add_partial_predictions(run, [3], grid="passes")
    (svg,) = pictures_of(run, tmp_path).values()
    shown = [name for name, frames in keyframes(svg).items() if "-v" in name and frames[0][1] == "visibility:visible"]
    assert len(shown) == 5 + 6, "stripes of rows, one of which has been read, and of columns"
    once, more = (float(value) for value in re.findall(r'<g opacity="([\d.]+)">', svg))
    assert once == pytest.approx(0.82 * 5 / 9, abs=1e-3), "half is rounded to 4 of 9"
    assert 1 - (1 - once) * (1 - more) == pytest.approx(0.82, abs=1e-3)
    assert 'viewBox="0 3 12 6"' in svg, "the picture fills a part of the model's input"


def test_detected_objects_appear_one_by_one_and_stay() -> None:
    named = np.tril(np.ones((4, 4))) * [1, 1, 0.1, 1]  # the score of the third step is below the threshold
    boxes = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.75, 1], [0, 0, 1, 1], [0.2, 0.6, 0.4, 0.8]])
    outputs = {
        "scores": 0.9 * named,
        "labels": np.array([4, 7, 1, 4]) * (named > 0),
        "boxes": boxes * (named > 0)[:, :, None],
        "seen": np.ones((4, 1, 1)),
    }
    partial = partial_predictions.summarize("a", "chosen", outputs, np.array([0, 0, 1, 1]), -1, least_score=0.5)
    png = io.BytesIO()
    Image.new("L", (40, 40)).save(png, "PNG")
    timeline, names = animation.Timeline("partial-0-0", 4), dict(enumerate("0123456789"))
    example = AnimatedExample(partial, {"labels": [4, 4, 7], "boxes": boxes[[0, 1, 3]].tolist()}, png.getvalue(), names, timeline)
    svg = standalone_svg(example)
    root, animations = ElementTree.fromstring(svg), keyframes(svg)
    assert animations["partial-0-0-o0"] == [(0, "visibility:visible"), (100, "visibility:visible")]
    for number, step in ((1, 1), (2, 3)):
        assert animations[f"partial-0-0-o{number}"] == [
            (0, "visibility:hidden"), (timeline.percent(step), "visibility:visible"), (100, "visibility:visible"),
        ]  # fmt: skip
    drawn = [each for each in root.iter(f"{SVG}rect") if each.get("class", "").startswith("p partial-0-0-o")]
    assert [[float(each.attrib[key]) for key in ("x", "width")] for each in drawn] == [[17.2, 34.4], [86, 43], [34.4, 34.4]]
    assert all("hidden" not in each.get("style", "") for each in drawn), "without motion all of them are shown"
    strip = [
        len([each for each in group if each.get("class") == "p"])
        for group in root.iter(f"{SVG}g")
        if "scale(" in group.get("transform", "")
    ]
    assert strip == [1, 2, 2, 3]
    assert root.findtext(f"{SVG}title") == "a, true objects 4, 4, 7: partial predictions"
    description = root.findtext(f"{SVG}desc") or ""
    assert description.startswith("after 1 of 4 steps 4 with 90 %, after 2 of 4 steps 7 with 90 %, after 3 of 4 steps no object, after 4")
    nothing = partial_predictions.summarize("a", "chosen", outputs, np.array([0, 0, 1, 1]), -1, least_score=0.95)
    ElementTree.fromstring(standalone_picture(nothing, png.getvalue(), "0123456789"))


def test_only_pages_of_runs_with_partial_predictions_show_them(make_run: MakeRun, tmp_path: Path) -> None:
    cnn, lstm = make_run("cnn", n=20), make_run("lstm", n=20)
    before = write_report([str(cnn)], tmp_path / "before.html").read_text()
    assert "Partial predictions" not in before
    assert "@keyframes" not in before
    assert "Pause the animations" not in before
    hint = "imgloc evaluate RUN --partial-predictions ID"
    assert_refused(lambda: write_report([str(cnn)], tmp_path / "before.html", pictures=tmp_path / "p"), "--pictures", str(cnn), hint)
    ids = add_partial_predictions(lstm, [3, 5, 7])
    removed = partial_predictions.path_of(RunDir(lstm), "test", ids[-1]).with_suffix(".png")
    picture = removed.read_bytes()
    removed.unlink()
    assert_refused(lambda: write_report([str(lstm)], tmp_path / "before.html"), removed.name, "is missing", "imgloc evaluate")
    removed.write_bytes(picture)
    out = write_report([str(cnn), str(lstm)], tmp_path / "both.html", pictures=tmp_path / "pictures")
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == sorted(f"lstm-{name}.svg" for name in ids)
    text, page = out.read_text(), page_of(out)
    assert text.count("<desc>") == 3
    assert all(name in page.words for name in ids)
    assert "http" not in text.replace("http-equiv", "")
    assert all(svg.get("aria-label") or svg.get("aria-hidden") == "true" for svg in page.all("svg") if "preserveaspectratio" not in svg)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))


def test_only_earlier_pictures_are_overwritten(make_run: MakeRun, tmp_path: Path) -> None:
    run, out = make_run("a", n=20, thumbnails=False), tmp_path / "report.html"
    second = add_partial_predictions(run, [3, 5])[1]
    foreign = tmp_path / "pictures" / f"{second}.svg"
    foreign.parent.mkdir()
    foreign.write_text("<svg>drawn by hand</svg>")
    assert_refused(lambda: write_report([str(run)], out, pictures=foreign.parent), "would overwrite", foreign.name, "choose another path")
    assert [path.name for path in foreign.parent.iterdir()] == [foreign.name]
    assert foreign.read_text() == "<svg>drawn by hand</svg>"
    assert not out.exists()
    assert_refused(lambda: write_report([str(run)], out, pictures=foreign), "is a file; expected a folder")
    assert not out.exists()
    foreign.unlink()
    assert pictures_of(run, tmp_path) == pictures_of(run, tmp_path)


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")
def test_a_browser_draws_them_within_any_width(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("a", n=20, thumbnails=False, classes=tuple(f"a_long_class_name_without_any_space_{i}" for i in range(10)))
    add_partial_predictions(run, [3, 5], size=(30, 90), grid="passes", fixations=FIXATIONS)
    measured, console = measure(tmp_path, write_report([str(run)], tmp_path / "report.html"), (360, 1440))
    assert console == []
    for frame in measured:
        assert frame["scroll"] <= frame["width"]
        sizes = [size for size in frame["figures"] if abs(size[0] / size[1] - 340 / 277) < 0.2]
        assert len(sizes) >= 2
        assert min(size[0] for size in sizes) >= 300


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")
@pytest.mark.parametrize(("control", "state"), [("", "running"), (" checked", "paused")])
def test_the_reader_can_pause_the_animations(make_run: MakeRun, tmp_path: Path, control: str, state: str) -> None:
    run = make_run("lstm", n=20, samples=5)
    add_partial_predictions(run, [0])
    page = write_report([str(run)], tmp_path / "report.html")
    script = """<pre id="states"></pre><script>document.getElementById("states").textContent = [...new Set(
      document.getAnimations().map(each => getComputedStyle(each.effect.target).animationPlayState))]</script></body>"""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    page.write_text(text.replace('id="pause">', f'id="pause"{control}>').replace("</body>", script))
    dom, console = browse(tmp_path, page, "--dump-dom", "--virtual-time-budget=500")
    assert console == []
    assert f'<pre id="states">{state}</pre>' in dom
