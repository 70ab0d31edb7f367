"""The pages in a real browser with axe, the checker of accessibility: light and dark, on a wide screen and on a phone."""

from __future__ import annotations

import html
import importlib.resources
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgloc.reporting.page import write_report
from imgloc.reporting.sheet import write_sheet
from imgloc.types import Example
from tests.reporting.test_animated_predictions import add_partial_predictions
from tests.reporting.test_browser import BROWSER, browse

MakeRun = Callable[..., Path]

AXE = importlib.resources.files("axe_core_python") / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
SCHEMES = {"light": "--blink-settings=preferredColorScheme=1", "dark": "--blink-settings=preferredColorScheme=0"}
WIDTHS = (1280, 390)
# axe cannot tell the contrast of text on gradients, which here only shade the edges of what scrolls. Animations cost time.
PLAIN = "<style>.scroll { background: none !important; } svg * { animation-play-state: paused !important; }</style>"
# Every frame sends what axe finds to the page around it. The policy of the page forbids scripts, so a copy without it is checked.
REPORT = """axe.run(document, {runOnly: RULES}).then(found => parent.postMessage({
  place: `PAGE-${innerWidth}`, dark: matchMedia("(prefers-color-scheme: dark)").matches,
  legible: found.passes.filter(rule => rule.id === "color-contrast").flatMap(rule => rule.nodes).length,
  violations: found.violations.flatMap(rule => rule.nodes.map(n => `${rule.id}: ${n.html.slice(0, 200)} ${n.failureSummary}`)),
}, "*"))"""
COLLECT = """<!doctype html><meta name="color-scheme" content="light dark"><body><pre id="found">[]</pre><script>
const all = [];
addEventListener("message", event => { all.push(event.data); document.getElementById("found").textContent = JSON.stringify(all); });
</script>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")


def check(tmp_path: Path, pages: Sequence[Path], scheme: str) -> list[dict[str, Any]]:
    """What axe finds in each page at each width of WIDTHS."""
    frames, script = "", AXE.read_text()
    for page in pages:
        for width in WIDTHS:
            place = f"{page.stem}-{width}"
            report = REPORT.replace("RULES", json.dumps(RULES)).replace("PAGE", page.stem)
            text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text()).replace("<details>", "<details open>")
            copy = tmp_path / f"{place}.html"
            copy.write_text(text.replace("</body>", f"{PLAIN}<script>{script}</script><script>{report}</script></body>"))
            frames += f'<iframe title="{place}" src="{copy.name}" style="border:0;width:{width}px;height:900px"></iframe>'
    harness = tmp_path / f"axe-{scheme}.html"
    harness.write_text(COLLECT + frames)
    dom, console = browse(tmp_path, harness, SCHEMES[scheme], "--dump-dom")
    assert console == []
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[:2000]
    results: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    assert sorted(result["place"] for result in results) == sorted(f"{page.stem}-{width}" for page in pages for width in WIDTHS)
    assert {result["dark"] for result in results} == {scheme == "dark"}, "the browser did not switch to the colour scheme"
    return results


def data_sheet(out: Path) -> Path:
    image, boxes = np.full((60, 80, 3), 90, np.uint8), np.array([[0.25, 0.1, 0.75, 0.9]], np.float32)
    examples = [Example(image, boxes[: i % 2], np.zeros(i % 2, np.int32), i % 2, f"photo-{i}", f"{i}") for i in range(6)]
    write_sheet(examples, ("cat", "dog"), out, title="photos", note="6 of the 6 images")
    return out


@pytest.fixture
def pages(make_run: MakeRun, tmp_path: Path) -> list[Path]:
    """A report of one run, of two runs with partial predictions, and a data sheet."""
    first, second = (
        make_run(name, n=60, samples=20, gallery=2, classes=("cat", "dog", "bird"), seed=seed, lr=0.1**seed)
        for seed, name in enumerate("ab")
    )
    one = write_report([str(first)], tmp_path / "one.html")
    for run in (first, second):
        add_partial_predictions(run, [0, 1])
    return [one, write_report([str(first), str(second)], tmp_path / "two.html"), data_sheet(tmp_path / "sheet.html")]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_no_violation(pages: list[Path], tmp_path: Path, scheme: str) -> None:
    for result in check(tmp_path, pages, scheme):
        assert result["violations"] == [], result["place"]
        assert result["legible"] > 10, "the contrast of few texts was measured"


def test_axe_sees_what_is_wrong(tmp_path: Path) -> None:
    sheet = data_sheet(tmp_path / "sheet.html")
    text = sheet.read_text()
    pale = re.sub(r"--muted: #\w+", "--muted: #b0b0b0", re.sub(r' alt="[^"]*"', "", text, count=1), count=1)
    sheet.write_text(pale.replace("<main>", "<div>").replace("</main>", "</div>").replace("<h1>", "<h3>").replace("</h1>", "</h3>"))
    for result in check(tmp_path, [sheet], "light"):
        rules = {violation.split(":")[0] for violation in result["violations"]}
        assert {"image-alt", "color-contrast", "landmark-one-main", "page-has-heading-one"} <= rules
