"""Times operations of scikit-image, OpenCV or kornia (the argument); prints one line of JSON as ours.py does.

scikit-image and OpenCV take one image at a time, so a batch is a loop. OpenCV computes in float32 where it can, else with 8 bits.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pictures


def _each(function: Callable[..., Any], images: np.ndarray) -> Callable[[], Any]:
    return lambda: [function(image) for image in images]


def scikit_image(side: int, batch: int) -> Mapping[str, Callable[[], Any]]:
    """Returns calls of scikit-image."""
    from skimage import color, exposure, feature, filters, measure, morphology, transform

    images = pictures.photographs(side, batch)
    rgb, gray = images.astype(np.float32) / 255, pictures.gray(images).astype(np.float32) / 255
    byte = pictures.gray(images)
    template = gray[0, : pictures.TEMPLATE, : pictures.TEMPLATE]
    median = np.ones((3, 3, 1), bool)
    square = np.ones((5, 5), bool)
    half = (side // 2, side // 2)
    return {
        "gaussian": _each(lambda x: filters.gaussian(x, 2.0, channel_axis=2), rgb),
        "median 3x3": _each(lambda x: filters.median(x, median), rgb),
        "unsharp mask": _each(lambda x: filters.unsharp_mask(x, 2.0, channel_axis=2), rgb),
        "sobel": _each(filters.sobel, gray),
        "laplacian": _each(filters.laplace, gray),
        "harris": _each(feature.corner_harris, gray),
        "canny": _each(feature.canny, gray),
        "otsu": _each(filters.threshold_otsu, byte),
        "components": _each(lambda x: measure.label(x > 0.5), gray),
        "dilation 5x5": _each(lambda x: morphology.dilation(x, square), gray),
        "equalize": _each(exposure.equalize_hist, byte),
        "clahe": _each(exposure.equalize_adapthist, gray),
        "rgb to hsv": _each(color.rgb2hsv, rgb),
        "rgb to lab": _each(color.rgb2lab, rgb),
        "resize to half": _each(lambda x: transform.resize(x, half, anti_aliasing=True), rgb),
        "match template": _each(lambda x: feature.match_template(x, template), gray),
        "hog": _each(feature.hog, gray),
        "lbp": _each(lambda x: feature.local_binary_pattern(x, 8, 1.0, "uniform"), byte),
    }


def opencv(side: int, batch: int) -> Mapping[str, Callable[[], Any]]:
    """Returns calls of OpenCV."""
    import cv2

    images = pictures.photographs(side, batch)
    rgb, gray = images.astype(np.float32) / 255, pictures.gray(images).astype(np.float32) / 255
    byte = pictures.gray(images)
    template = gray[0, : pictures.TEMPLATE, : pictures.TEMPLATE]
    square = np.ones((5, 5), np.uint8)
    clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))

    def sobel(image: np.ndarray) -> Any:
        return cv2.magnitude(cv2.Sobel(image, cv2.CV_32F, 1, 0), cv2.Sobel(image, cv2.CV_32F, 0, 1))

    def unsharp(image: np.ndarray) -> Any:
        return cv2.addWeighted(image, 2.0, cv2.GaussianBlur(image, (0, 0), 2.0), -1.0, 0.0)

    return {
        "gaussian": _each(lambda x: cv2.GaussianBlur(x, (17, 17), 2.0), rgb),
        "median 3x3": _each(lambda x: cv2.medianBlur(x, 3), rgb),
        "unsharp mask": _each(unsharp, rgb),
        "sobel": _each(sobel, gray),
        "laplacian": _each(lambda x: cv2.Laplacian(x, cv2.CV_32F), gray),
        "harris": _each(lambda x: cv2.cornerHarris(x, 5, 3, 0.05), gray),
        "canny": _each(lambda x: cv2.Canny(cv2.GaussianBlur(x, (0, 0), 1.0), 26, 51), byte),
        "otsu": _each(lambda x: cv2.threshold(x, 0, 255, cv2.THRESH_OTSU)[0], byte),
        "components": _each(lambda x: cv2.connectedComponents((x > 0.5).astype(np.uint8)), gray),
        "dilation 5x5": _each(lambda x: cv2.dilate(x, square), gray),
        "equalize": _each(cv2.equalizeHist, byte),
        "clahe": _each(clahe.apply, byte),
        "rgb to hsv": _each(lambda x: cv2.cvtColor(x, cv2.COLOR_RGB2HSV), rgb),
        "rgb to lab": _each(lambda x: cv2.cvtColor(x, cv2.COLOR_RGB2LAB), rgb),
        "resize to half": _each(lambda x: cv2.resize(x, (side // 2, side // 2), interpolation=cv2.INTER_AREA), rgb),
        "match template": _each(lambda x: cv2.matchTemplate(x, template, cv2.TM_CCOEFF_NORMED), gray),
    }


def kornia(side: int, batch: int) -> Mapping[str, Callable[[], Any]]:
    """Returns calls of kornia on PyTorch tensors, on the CPU."""
    import torch
    from kornia import color, enhance, feature, filters, geometry, morphology

    images = pictures.photographs(side, batch)
    rgb = torch.from_numpy(images.astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()
    gray = torch.from_numpy(pictures.gray(images).astype(np.float32) / 255)[:, None]
    square = torch.ones(5, 5)
    calls = {
        "gaussian": lambda: filters.gaussian_blur2d(rgb, (17, 17), (2.0, 2.0)),
        "median 3x3": lambda: filters.median_blur(rgb, (3, 3)),
        "unsharp mask": lambda: filters.unsharp_mask(rgb, (17, 17), (2.0, 2.0)),
        "sobel": lambda: filters.sobel(gray),
        "laplacian": lambda: filters.laplacian(gray, 3),
        "harris": lambda: feature.harris_response(gray),
        "canny": lambda: filters.canny(gray),
        "dilation 5x5": lambda: morphology.dilation(gray, square),
        "equalize": lambda: enhance.equalize(gray),
        "clahe": lambda: enhance.equalize_clahe(gray),
        "rgb to hsv": lambda: color.rgb_to_hsv(rgb),
        "rgb to lab": lambda: color.rgb_to_lab(rgb),
        "resize to half": lambda: geometry.resize(rgb, (side // 2, side // 2), antialias=True),
    }

    def without_gradient(call: Callable[[], Any]) -> Callable[[], Any]:
        return torch.no_grad()(call)

    return {name: without_gradient(call) for name, call in calls.items()}


if __name__ == "__main__":
    print(json.dumps(pictures.measured({"scikit-image": scikit_image, "OpenCV": opencv, "kornia": kornia}[sys.argv[1]])))
