"""The page: well formed, self-contained, the same each time, and with the numbers of scoring."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from imgloc import files
from imgloc.config import schema as configs
from imgloc.config.registry import declared
from imgloc.errors import UserError
from imgloc.evaluation import scoring
from imgloc.evaluation.predictors import predictor_names
from imgloc.interfaces import Task
from imgloc.reporting import tables
from imgloc.reporting.load import load_run
from imgloc.reporting.page import write_report
from imgloc.runs import prediction_table
from imgloc.runs.run_dir import RunDir, open_run

MakeRun = Callable[..., Path]

VOID = {"wbr", "meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Collects the elements and the text of a page; fails where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: dict[str, list[str]] = {}  # metric -> text of its cells in the result table
        self.words: list[str] = []
        self._metric: str | None = None
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self._metric = dict(attrs).get("data-metric")
        if tag == "td" and self._metric is not None:
            self.cells.setdefault(self._metric, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "td" in self.open and self._metric in self.cells:
            self.cells[self._metric][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(path: Path) -> Page:
    return Page(path.read_text())


def test_is_self_contained_and_well_formed(make_run: MakeRun, tmp_path: Path) -> None:
    out = write_report([str(make_run("a")), str(make_run("b", seed=1, lr=0.1))], tmp_path / "new" / "report.html")
    text, page = out.read_text(), page_of(out)
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    for _, attributes in page.elements:
        for key in ("src", "href", "xlink:href", "action", "srcset", "data"):
            value = attributes.get(key) or "#"
            assert value.startswith("#") or value.startswith("data:image/png;base64,"), value[:80]
    assert "http://" not in text
    assert "https://" not in text
    assert "@import" not in text
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", text))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for target in [a["href"] for _, a in page.elements if "href" in a]:
        assert (target or "")[1:] in identifiers, target


def test_is_accessible(make_run: MakeRun, tmp_path: Path) -> None:
    page = page_of(write_report([str(make_run("a"))], tmp_path / "report.html"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"
    assert page.all("img")
    assert all(image["alt"] for image in page.all("img"))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") == "true" for svg in page.all("svg"))


def test_pictures_and_tables_have_words(make_run: MakeRun, tmp_path: Path) -> None:
    out = write_report([str(make_run("a", wrong=0.3)), str(make_run("b", seed=1))], tmp_path / "report.html")
    page, text = page_of(out), out.read_text()
    alternatives = [str(image["alt"]) for image in page.all("img")]
    for alternative in alternatives:
        found = re.match(r"test-\d+: true (\d), predicted (\d), (correct|wrong), ", alternative)
        assert found, alternative
        assert (found[1] == found[2]) == (found[3] == "correct")
    assert {"correct", "wrong"} <= {word for alternative in alternatives for word in alternative.split(", ")}
    assert text.count("<caption") == text.count("<table") > 5
    regions = [str(attributes["aria-label"]) for _, attributes in page.elements if attributes.get("role") == "region"]
    assert len(set(regions)) == len(regions) > 4


def test_metrics_are_named_by_their_keys(make_run: MakeRun, tmp_path: Path) -> None:
    text = write_report([str(make_run("a"))], tmp_path / "report.html").read_text().replace("<wbr>", "")
    for key in ("top1", "mean_iou", "gt_known_loc_50", "top1_loc_50"):
        # Summary, results, meaning and two tables of slices; three have a validation chart.
        assert text.count(f'<code class="key">{key}</code>') == 5 + (key != "gt_known_loc_50"), key
    for key in ("calibration_error", "loss", "loss/giou"):
        assert f'<code class="key">{key}</code>' in text


def test_the_comparison_of_runs_is_first_and_marks_the_best_in_words(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [str(make_run("bad", wrong=0.5, spread=0.2)), *(str(make_run(name, seed=1, wrong=0.05)) for name in ("good", "same"))]
    text = write_report(runs, tmp_path / "report.html").read_text()
    assert text.index('<section id="summary"') == text.index("<section")
    table = text[text.index('<table class="results comparison">') : text.index('<section id="results"')]
    rows = re.findall(r"<tr style.*?</tr>", table, re.DOTALL)
    assert [len(re.findall("<td>", row)) for row in rows] == [4, 4, 4]
    assert [row.count(">best<") for row in rows] == [0, 4, 4], "equal runs are both best"
    assert [row.count('class="range"') for row in rows] == [4, 4, 4]


def test_the_best_run_is_that_of_the_lowest_error(make_run: MakeRun) -> None:
    reports = [load_run(str(make_run(name, wrong=wrong)), name, "test") for name, wrong in (("good", 0.05), ("bad", 0.6))]
    metrics = [scoring.metric_of("top1"), scoring.metric_of("calibration_error")]
    assert tables.best_runs(reports, metrics) == {
        metric.key: {min(reports, key=lambda report: -metric.sign * report.model.intervals[metric.key].mean).label} for metric in metrics
    }
    assert not metrics[1].higher_is_better
    assert tables.best_runs(reports[:1], metrics) == {}, "one run has nobody to be better than"


def test_numbers_are_those_of_scores(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("a")
    page = page_of(write_report([str(path)], tmp_path / "report.html"))
    run, config = open_run(str(path))
    for column, predictor in enumerate(predictor_names("localize")):
        rows = prediction_table.read_rows(run.rows("test", predictor), expected={"config": configs.fingerprint(config)})
        intervals = scoring.intervals(rows, list("0123456789"), declared("tasks", "localize", Task), samples=50)
        whole = {name: interval for name, interval in intervals.items() if "/" not in name}
        assert set(page.cells) == set(whole)
        assert len(whole) == 9
        for metric, interval in whole.items():
            expected = tables.cell(scoring.metric_of(metric), interval)
            assert expected is not None
            assert page.cells[metric][column].split() == f"{expected.mean} {expected.range}".split()
    assert scoring.metric_of("top1").text(0.9634) == "96.3"
    assert scoring.metric_of("mean_iou").text(0.8634) == "0.863"


def test_same_input_same_bytes(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [str(make_run("a")), str(make_run("b", seed=1))]
    first = write_report(runs, tmp_path / "1.html").read_bytes()
    # Another process has another hash seed and another state of matplotlib.
    code = f"from pathlib import Path; from imgloc.reporting.page import write_report; write_report({runs!r}, "
    code += f"Path({str(tmp_path / '2.html')!r}))"
    code += "; import sys; assert not {'jax', 'flax', 'matplotlib.pyplot'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert (tmp_path / "2.html").read_bytes() == first


def test_two_runs_of_one_name_side_by_side(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("x/cnn"), make_run("y/cnn", seed=3, wrong=0.5, lr=0.25)]
    page = page_of(write_report([str(run) for run in runs], tmp_path / "report.html"))
    words = " ".join(page.words)
    assert "x/cnn" in words
    assert "y/cnn" in words
    assert len(page.cells["top1"]) == 4  # two runs; each baseline once, as both have the same
    assert page.cells["top1"][0] != page.cells["top1"][1]
    assert "The runs differ in 2 keys:" in words  # the seed too
    assert "optim.lr" in words
    assert "Do not compare" not in words


def test_runs_of_different_data_have_a_notice(make_run: MakeRun, tmp_path: Path) -> None:
    runs = [make_run("a"), make_run("b", seed=1)]
    run = RunDir(runs[1])
    for predictor in ("model", "whole_image", "median_box"):
        meta = prediction_table.meta_path(run.rows("test", predictor))
        files.write_json(meta, {**files.read_json(meta), "data": "other"})
    page = write_report([str(path) for path in runs], tmp_path / "report.html").read_text()
    assert "Do not compare" in page
    assert ">best<" not in page


def test_hostile_names_are_text(make_run: MakeRun, tmp_path: Path) -> None:
    names = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\frac{1}$ & <u>", "_hidden", "</svg>", 'id="x" url(#y)')
    page = page_of(write_report([str(make_run("a", classes=names, wrong=0.9))], tmp_path / "report.html"))
    assert page.all("script") == page.all("u") == []
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    for name in names:
        assert any(name[:17] in word for word in page.words), name


def test_task_without_boxes(make_run: MakeRun, tmp_path: Path) -> None:
    page = page_of(write_report([str(make_run("a", boxes=False))], tmp_path / "report.html"))
    assert set(page.cells) == {"top1", "calibration_error"}
    assert len(page.cells["top1"]) == 2
    assert "thresholds" not in [attributes.get("id") for attributes in page.all("section")]
    assert "IoU" not in " ".join(page.words)
    assert not [rect for rect in page.all("rect") if (rect.get("class") or "").startswith("box-")]


def test_many_classes_and_no_pictures(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("a", n=300, classes=tuple(f"class {i}" for i in range(40)), thumbnails=False)
    RunDir(path).metrics.unlink()
    RunDir(path).finished.unlink()
    files.write_json(RunDir(path).model / "bundle.json", {"step": 2500})
    words = " ".join(page_of(write_report([str(path)], tmp_path / "report.html")).words)
    assert "the 30 most frequent of 40 classes" in words
    assert "this image was not saved" in words
    assert "The run has no log of its training" in words


def test_outdated_rows_of_an_unfinished_run_are_refused(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("a", n=20, samples=5)
    RunDir(path).finished.unlink()
    files.write_json(RunDir(path).model / "bundle.json", {"step": 2600})
    with pytest.raises(UserError, match="another checkpoint: step 2500, the best is step 2600"):
        write_report([str(path)], tmp_path / "report.html")
    files.write_json(RunDir(path).model / "bundle.json", {"step": 2500})
    files.write_json(RunDir(path).last_model / "bundle.json", {"step": 2600})
    assert write_report([str(path)], tmp_path / "report.html").is_file()
    _change_meta(path, "model", checkpoint="last")
    with pytest.raises(UserError, match="another checkpoint: step 2500, the last is step 2600"):
        write_report([str(path)], tmp_path / "report.html")


def _change_meta(path: Path, predictor: str, **values: object) -> None:
    meta = prediction_table.meta_path(RunDir(path).rows("test", predictor))
    files.write_json(meta, {**files.read_json(meta), **values})


@pytest.mark.parametrize(
    ("predictor", "values", "message"),
    [
        ("model", {"step": 2000}, "another checkpoint: step 2000, the best is step 2500"),
        ("model", {"checkpoint": "last"}, "another checkpoint: step 2500, the last is step 3000"),
        ("model", {"config": "f" * 16}, "config f{16}, this run has"),
        ("median_box", {"config": "f" * 16}, "config f{16}, this run has"),
        ("whole_image", {"data": "other"}, "'whole_image' .* other data"),
    ],
)
def test_outdated_rows_are_refused(make_run: MakeRun, tmp_path: Path, predictor: str, values: dict[str, object], message: str) -> None:
    path = make_run("a", n=20, samples=5)
    _change_meta(path, predictor, **values)
    with pytest.raises(UserError, match=message):
        write_report([str(path)], tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_rows_of_the_last_checkpoint_are_accepted(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("a", n=20, samples=5)
    _change_meta(path, "model", checkpoint="last", step=3000)
    assert "last (step 3000)" in write_report([str(path)], tmp_path / "report.html").read_text()


def test_mistakes_are_one_line(make_run: MakeRun, tmp_path: Path) -> None:
    path = make_run("a", n=20, samples=5)
    cases = [
        (lambda: write_report([], tmp_path / "r.html"), "at least one run"),
        (lambda: write_report([str(tmp_path / "none")], tmp_path / "r.html"), "is not a run folder"),
        (lambda: write_report([str(path)], tmp_path), "is a folder"),
        (lambda: write_report([str(path)], tmp_path / "r.html", split="val"), "unknown split 'val'; did you mean 'validation'"),
        (lambda: write_report([str(path)], tmp_path / "r.html", split="validation"), "imgloc evaluate .* --split validation"),
    ]
    for call, message in cases:
        with pytest.raises(UserError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)
    RunDir(path).data.write_text("{")
    with pytest.raises(UserError, match=r"cannot read .*data\.json"):
        write_report([str(path)], tmp_path / "r.html")
