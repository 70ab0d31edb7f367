"""The page of a sweep: its contents, special sweeps, and the page in a real browser."""

from __future__ import annotations

import base64
import hashlib
import html
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from imgloc.api.reporting import report
from imgloc.reporting import parallel_coordinates, sweep_charts
from imgloc.reporting.sweep_page import write_sweep_report
from tests.refusals import assert_refused
from tests.reporting.sweep_folders import some_sweep, write_sweep
from tests.reporting.test_accessibility import check
from tests.reporting.test_browser import BROWSER, HARNESS, browse, measure

in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")


def rows_of(page: str) -> list[str]:
    return [html.unescape(name) for name in re.findall(r'<tr data-point="\d+">.*?<th scope="row" data-value="([^"]*)"', page)]


def test_the_page_has_every_point_the_best_first_with_links_to_its_run(tmp_path: Path) -> None:
    folder = some_sweep(tmp_path / "sweep")
    (folder / "lr=0.003,cell=lstm,weight_decay=0.01,seed=1" / "report.html").write_text("")
    path = report(folder, tmp_path / "pages.html")
    page = path.read_text()
    points = json.loads((folder / "sweep.json").read_text())["points"]
    scores = {point["name"]: point["metrics"]["top1_loc_50"] for point in points if "metrics" in point}
    assert rows_of(page)[:18] == sorted(scores, key=lambda name: -scores[name])
    assert len(rows_of(page)) == 20
    assert 'href="sweep/lr=0.003,cell=lstm,weight_decay=0.01,seed=0/"' in page
    assert 'href="sweep/lr=0.003,cell=lstm,weight_decay=0.01,seed=1/report.html"' in page
    assert "the loss is nan at step 120" in page
    assert page.count('class="line finished"') == 17
    assert page.count('class="line best"') == page.count('class="line failed"') == page.count('class="line unfinished"') == 1
    assert "optim.weight_decay" not in re.findall(r"<thead>.*?</thead>", page, re.DOTALL)[-1], "it is the same for all points"
    assert "too good" not in page
    assert page == report(folder, tmp_path / "pages.html").read_text()


def test_the_page_loads_nothing_and_allows_no_other_script(tmp_path: Path) -> None:
    page = report(some_sweep(tmp_path / "sweep", split="test")).read_text()
    assert "choose on validation" in page
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)
    script = re.search(r"<script>(.*)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page


@pytest.mark.parametrize(
    ("points", "scores", "text"),
    [
        ([{}], [0.7], "1 point of a sweep: 1 finished"),
        ([{"seed": seed} for seed in range(3)], [0.7] * 3, "no point is better than another"),
        ([{"seed": seed} for seed in range(2)], ["it fails", "it fails"], "No point is finished"),
        ([{"model.name": name} for name in ("a", "<b>")], [0.5, None], "1 finished, 1 unfinished"),
        ([{"optim.lr": rate, "data.image_size": (8, 8)} for rate in (0.1, 0.2)], [0.5, 0.0], "2 finished"),
    ],
)
def test_special_sweeps(tmp_path: Path, points: list[dict[str, object]], scores: list[float | str | None], text: str) -> None:
    page = write_sweep_report(write_sweep(tmp_path / "sweep", points, scores), tmp_path / "page.html").read_text()
    assert text in page
    assert len(rows_of(page)) == len(points)
    assert "<b>" not in page.replace("<b ", "")


def test_a_damaged_summary_and_wrong_names_are_refused(tmp_path: Path) -> None:
    folder = some_sweep(tmp_path / "sweep")
    assert_refused(lambda: report(folder, tmp_path / "page.txt"), "expected a file name that ends in .html")
    (folder / "sweep.json").write_text("{")
    assert_refused(lambda: report(folder), "sweep.json' cannot be read", "run the sweep again")


def test_the_band_of_the_best_so_far_is_that_of_all_orders() -> None:
    values = np.array([0.3, 0.9, 0.1, 0.5, 0.7, 0.2])
    best = np.array([np.maximum.accumulate(order) for order in itertools.permutations(values)])
    low, high = sweep_charts.orders_of_the_best(values)
    # The lowest value that at least 2.5 % (97.5 %) of all 720 orders do not exceed.
    np.testing.assert_array_equal(low, np.quantile(best, 0.025, axis=0, method="inverted_cdf"))
    np.testing.assert_array_equal(high, np.quantile(best, 0.975, axis=0, method="inverted_cdf"))


def test_axes_are_logarithmic_where_values_lie_more_evenly_so() -> None:
    rates = parallel_coordinates.make_axis("lr", [1e-4, 1e-3, 1e-2, 1e-1])
    assert rates.title == "lr (log)"
    assert list(rates.places.values()) == pytest.approx([0, 1 / 3, 2 / 3, 1])
    uniform = parallel_coordinates.make_axis("dropout", np.linspace(0.001, 0.5, 9).tolist())
    assert uniform.title == "dropout"
    assert list(uniform.ticks) == ["0.1", "0.2", "0.3", "0.4", "0.5"]
    assert parallel_coordinates.make_axis("cell", ["gru", "lstm", "gru"]).places == {"gru": 0.0, "lstm": 1.0}
    assert parallel_coordinates.make_axis("seed", [3, 3]).places == {"3": 0.5}


@in_a_browser
def test_the_page_fits_windows_and_its_table_can_be_sorted(tmp_path: Path) -> None:
    page = report(some_sweep(tmp_path / "sweep"), tmp_path / "page.html")
    measured, console = measure(tmp_path, page, (390, 1280))
    assert console == []
    for frame in measured:
        assert frame["scroll"] <= frame["width"]
        assert len(frame["figures"]) == 2
        assert min(min(size) for size in frame["figures"]) > 90
    click = """const d = document.querySelector("iframe").contentDocument; const heads = d.querySelectorAll("#points-table thead button");
heads[3].click(); heads[3].click(); const rows = [...d.querySelectorAll("#points-table tbody tr")];
document.getElementById("measured").textContent = JSON.stringify(rows.map(row => row.cells[3].textContent));"""
    harness = tmp_path / "sort.html"
    frame = f'<iframe src="{page.name}" style="width:800px"></iframe>'
    harness.write_text(re.sub(r"window.onload = .*</script>", lambda _: f"window.onload = () => {{ {click} }};</script>",
                              HARNESS.format(frames=frame), flags=re.DOTALL))  # fmt: skip
    dom, console = browse(tmp_path, harness, "--dump-dom")
    found = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-500:]
    rates = [float(text) for text in json.loads(html.unescape(found[1]))]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] != rates[-1]


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_fault(tmp_path: Path, scheme: str) -> None:
    page = report(some_sweep(tmp_path / "sweep", split="test"), tmp_path / "page.html")
    for result in check(tmp_path, [page], scheme):
        assert result["violations"] == []
        assert result["legible"] > 20
