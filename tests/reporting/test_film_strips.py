from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

from imgloc.reporting.film_strips import film
from imgloc.runs.film_strips import film_strip


def row() -> dict[str, object]:
    """A video of 12 frames with an object that is hidden in frames 4 to 6 and absent in the last one."""
    track = [[0.1 + 0.02 * k, 0.2, 0.4 + 0.02 * k, 0.6] for k in range(11)]
    visible = [1.0] * 4 + [0.0] * 3 + [1.0] * 4 + [0.0]
    return {
        "id": "<a>", "width": 80, "height": 40, "started": 1, "track_boxes": [[*track, None]], "track_visible": [visible],
        "pred_tracks": [[*track[:5], None, *track[6:], track[-1]]],
    }  # fmt: skip


def test_a_film_is_well_formed_and_shades_the_hidden_frames() -> None:
    svg = str(film(row(), film_strip(np.zeros((12, 40, 80, 1), np.uint8)), "film-0-0"))
    root = ElementTree.fromstring(svg)
    shaded = [each for each in root.iter("rect") if each.get("class") == "o"]
    assert len(shaded) == 1
    first, width = (float(str(shaded[0].get(key))) for key in ("x", "width"))
    step = (340 - 30) / 11
    assert abs(first - (24 + 4 * step)) < 0.2
    assert abs(width - 3 * step) < 0.2
    points = str(next(root.iter("polyline")).get("points")).split()
    assert len(points) == 11, "a frame without the object has no overlap"
    heights = [float(point.split(",")[1]) for point in points]
    assert heights[5] == 72.0, "a frame without a predicted box has an overlap of 0"
    assert max(heights[:5]) < 0.1
    assert "&lt;a&gt;" in svg


def test_a_film_moves_only_where_motion_is_allowed() -> None:
    svg = str(film(row(), film_strip(np.zeros((12, 40, 80, 1), np.uint8)), "film-0-0"))
    rest, _, moving = svg.partition("@media screen and (prefers-reduced-motion:no-preference)")
    assert "@keyframes" not in rest
    assert len(re.findall(r"@keyframes film-0-0-\w+", moving)) == 4  # the strip, two boxes and the line
