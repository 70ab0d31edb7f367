"""Boxes of a score map: those of the contours of the pixels above a threshold.

The definitions are those of Choe et al., 2020, arXiv:2001.07437, whose program finds contours with OpenCV.
"""

from __future__ import annotations

import cv2
import numpy as np

from imgloc.types import IntArray, Uint8Array


def boxes_of_contours(map_hxw: Uint8Array, level: int) -> IntArray:
    """Returns the boxes [n, 4] of all contours of the pixels above a level, borders of holes included, largest polygon area first.

    A box is xyxy in pixels; its last two edges lie one pixel behind the last pixel, but not behind that of the map, so that a box
    of the whole map is (0, 0, w - 1, h - 1). Contours of equal area are in the order in which OpenCV finds them.
    """
    height, width = map_hxw.shape
    contours, _ = cv2.findContours((map_hxw > level).astype(np.uint8), cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    boxes_nx4 = np.array([cv2.boundingRect(contour) for contour in contours], np.int64).reshape(-1, 4)
    boxes_nx4[:, 2:] = np.minimum(boxes_nx4[:, :2] + boxes_nx4[:, 2:], [width - 1, height - 1])
    order_n = np.argsort([-cv2.contourArea(contour) for contour in contours], kind="stable")
    return boxes_nx4[order_n]


def box_of_largest_contour(map_hxw: Uint8Array, level: int) -> IntArray:
    """Returns the box [4] of the contour with the largest polygon area; (0, 0, 0, 0) where no pixel is above the level."""
    boxes_nx4 = boxes_of_contours(map_hxw, level)
    return boxes_nx4[0] if len(boxes_nx4) else np.zeros(4, np.int64)
