"""Weights of red, green and blue in gray levels. This file imports no JAX, since readers of data use it too."""

from __future__ import annotations

Weights = tuple[float, float, float]

BT601: Weights = (0.299, 0.587, 0.114)  # of encoded values: ITU-R BT.601-7, 2.5.1, as in JPEG files, OpenCV and MATLAB's rgb2gray
BT709: Weights = (0.2125, 0.7154, 0.0721)  # of linear light: ITU-R BT.709, as scikit-image rounds them
