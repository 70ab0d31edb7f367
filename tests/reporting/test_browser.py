"""The page in a real browser: no error, every figure drawn, nothing wider than the window."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgloc.reporting.page import write_report

MakeRun = Callable[..., Path]

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--hide-scrollbars", "--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=5000",
)  # fmt: skip
# The page has no script of its own: a page around it, in frames of several widths, measures it.
HARNESS = """<!doctype html><body>{frames}<pre id="measured"></pre><script>
window.onload = () => {{
  const size = e => [e.getBoundingClientRect().width, e.getBoundingClientRect().height];
  const sizes = (d, query) => [...d.querySelectorAll(query)].filter(e => !e.closest("details")).map(size);
  const measured = [...document.querySelectorAll("iframe")].map(f => {{
    const d = f.contentDocument;
    return {{width: f.clientWidth, scroll: d.documentElement.scrollWidth, figures: sizes(d, "figure > svg"),
             images: sizes(d, ".picture img"), boxes: sizes(d, ".picture rect:not(.halo)")}};
  }});
  document.getElementById("measured").textContent = JSON.stringify(measured);
}};
</script></body>"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")


def browse(tmp_path: Path, page: Path, *arguments: str) -> tuple[str, list[str]]:
    """What the browser prints, and its console's messages."""
    profile = tmp_path / f"profile{len(list(tmp_path.glob('profile*')))}"
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *arguments, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def measure(tmp_path: Path, page: Path, widths: tuple[int, ...]) -> tuple[list[dict[str, Any]], list[str]]:
    frames = "".join(f'<iframe src="{page.name}" style="border:0;width:{width}px;height:900px"></iframe>' for width in widths)
    harness = page.with_name(f"harness-{page.name}")
    harness.write_text(HARNESS.format(frames=frames))
    dom, console = browse(tmp_path, harness, "--dump-dom")
    found = re.search(r'<pre id="measured">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-2000:]
    return json.loads(html.unescape(found[1])), console


@pytest.mark.parametrize("several", [False, True])
def test_renders_on_a_phone_and_a_wide_screen(make_run: MakeRun, tmp_path: Path, several: bool) -> None:
    long_names = tuple(f"a_very_long_class_name_without_any_space_{i}" for i in range(14))
    runs = [make_run("cnn", classes=long_names)]
    if several:
        runs.append(make_run("another_run_with_a_long_name", seed=2, lr=0.1, classes=long_names))
    page = write_report([str(run) for run in runs], tmp_path / "report.html")
    measured, console = measure(tmp_path, page, (360, 800, 1440))
    assert console == []
    assert [frame["width"] for frame in measured] == [360, 800, 1440]
    for frame in measured:
        assert frame["scroll"] <= frame["width"]
        # Losses (3), validation (3), success (2), and a confusion matrix a run; the rest is folded away.
        shown = frame["figures"]
        assert len(shown) == 8 + len(runs)
        assert min(min(size) for size in shown) > 90
        assert len(frame["images"]) == 18 * len(runs)
        assert min(min(size) for size in frame["images"]) > 60
        assert min(max(size) for size in frame["boxes"]) > 5


def test_picture_of_the_page_is_not_blank(make_run: MakeRun, tmp_path: Path) -> None:
    page = write_report([str(make_run("cnn"))], tmp_path / "report.html")
    _, console = browse(tmp_path, page, "--window-size=1280,2400", f"--screenshot={tmp_path / 'page.png'}")
    assert console == []
    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    assert pixels.shape == (2400, 1280, 3)
    for top in range(0, 2400, 600):
        assert len(np.unique(pixels[top : top + 600].reshape(-1, 3), axis=0)) > 30


def test_the_measure_sees_what_is_wrong(tmp_path: Path) -> None:
    page = tmp_path / "wrong.html"
    page.write_text('<!doctype html><div style="width:900px">wide</div><script>console.error("seen")</script>')
    measured, console = measure(tmp_path, page, (400,))
    assert measured[0]["scroll"] > 400
    assert any("seen" in line for line in console)
