"""The page of `imgloc serve` in a real browser: an image is chosen, dropped or taken by a (false) camera, and its boxes are drawn."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from imgloc.reporting.templates import render, script_policy
from tests.reporting.test_accessibility import AXE, RULES
from tests.reporting.test_browser import BROWSER
from tests.serving.running import Server, expected, pictures

pytest.importorskip("starlette")
playwright = pytest.importorskip("playwright.sync_api")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome here")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
BOXES = """image => [...document.querySelectorAll(".box")].map(box => {
  const [a, b] = [box.getBoundingClientRect(), document.getElementById("image").getBoundingClientRect()];
  return [(a.left - b.left) / b.width, (a.top - b.top) / b.height, (a.right - b.left) / b.width, (a.bottom - b.top) / b.height];
})"""


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Any]:
    """The page, open in a browser; every error of its script, and every request to another server, fails the test at the end."""
    problems: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", *CAMERA])
        opened = browser.new_context(permissions=["camera"], viewport={"width": 900, "height": 900}).new_page()
        own = f"http://127.0.0.1:{server.port}/"
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.on("request", lambda request: problems.append(request.url) if not request.url.startswith((own, f"blob:{own}")) else None)
        opened.goto(own)
        yield opened
        browser.close()
    assert problems == []


def wait_for_answer(page: Any, text: str) -> None:
    playwright.expect(page.locator("#status")).to_contain_text(text, timeout=30_000)


def test_a_chosen_image_has_its_box_where_imgloc_locate_puts_it(page: Any, server: Server, tmp_path: Path) -> None:
    contents = pictures(4)
    for number, right in enumerate(expected(server.bundle, contents, tmp_path / "images")):
        page.set_input_files("#file", tmp_path / "images" / str(number))
        wait_for_answer(page, " ms")
        playwright.expect(page.locator("#objects td").nth(1)).to_have_text(f"{right['score']:.3f}")
        width, height = page.evaluate("() => [image.naturalWidth, image.naturalHeight]")
        box = right.get("box_upright", right["box"])
        (drawn,) = page.evaluate(BOXES)
        assert drawn == pytest.approx([edge / side for edge, side in zip(box, (width, height) * 2, strict=True)], abs=0.03)
        assert json.loads(page.inner_text("#answer") or page.text_content("#answer"))["class"] == right["class"]


def test_a_file_that_is_no_image_shows_the_reason(page: Any, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("<b>no image</b>")
    page.set_input_files("#file", tmp_path / "text")
    wait_for_answer(page, "not an image")
    assert not page.is_visible("#result")


def test_the_camera_takes_a_picture(page: Any) -> None:
    page.click("#camera")
    page.click("#take")
    wait_for_answer(page, " ms")
    assert page.evaluate("() => image.naturalWidth") > 100
    assert len(page.evaluate(BOXES)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(page: Any, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.evaluate(AXE.read_text())
    found = page.evaluate(f"() => axe.run(document, {{runOnly: {json.dumps(RULES)}}})")
    assert [violation["id"] for violation in found["violations"]] == []
    assert any(rule["id"] == "color-contrast" and rule["nodes"] for rule in found["passes"])


def test_names_cannot_add_markup_or_scripts() -> None:
    facts = {"model": "<script>a</script>", "predicts": "a", "task": "b", "classes": [], "input": {"height": 1, "width": 1}}
    assert "<script>a" not in render("serve.html.j2", **facts)
    assert "script-src 'sha256-" in script_policy("serve.js")
