"""Bounding boxes of the shapes that annotation tools draw: xyxy in the unit of their numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from imgloc.data.annotated.assemble import parse_number, quoted


def bounding_box(points: Sequence[Sequence[float]]) -> list[float]:
    """Returns the smallest box around points (x, y). Raises ValueError if there is none."""
    if not points:
        raise ValueError("the shape has no points")
    x, y = zip(*points, strict=True)
    return [min(x), min(y), max(x), max(y)]


def ellipse_box(x: float, y: float, radius_x: float, radius_y: float, *, angle: float = 0.0) -> list[float]:
    """Returns the smallest box around an ellipse with center (x, y) that is rotated by `angle` radians."""
    half_width = math.hypot(radius_x * math.cos(angle), radius_y * math.sin(angle))
    half_height = math.hypot(radius_x * math.sin(angle), radius_y * math.cos(angle))
    return [x - half_width, y - half_height, x + half_width, y + half_height]


def rotated_box(box: Sequence[float], angle: float) -> list[float]:
    """Returns the smallest box around a box xyxy that is rotated about its center by `angle` radians."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    turned = [
        (x + dx * math.cos(angle) - dy * math.sin(angle), y + dx * math.sin(angle) + dy * math.cos(angle))
        for dx in (box[0] - x, box[2] - x)
        for dy in (box[1] - y, box[3] - y)
    ]
    return bounding_box(turned)


def parse_points(value: object) -> list[tuple[float, float]]:
    """Returns the points of a JSON array [[x, y], ...]. Raises ValueError for other values."""
    if not isinstance(value, list):
        raise ValueError(f"points are {quoted(value)}; they must be a list of [x, y]")
    points = []
    for point in value:
        if not isinstance(point, list) or len(point) != 2:
            raise ValueError(f"a point is {quoted(point)}; it must be [x, y]")
        points.append((parse_number(point[0]), parse_number(point[1])))
    return points
