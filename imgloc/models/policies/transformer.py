"""A differentiable policy: the sampling of a spatial transformer that shifts and scales (Jaderberg et al., 2015, arXiv:1506.02025).

It chooses the center and the side of its window; the first window is learned and the same for all images.
"""

from __future__ import annotations

import functools

from imgloc.models.policies.policy import Policy
from imgloc.models.policies.sensors import choose_window, window_sensor
from imgloc.nn import glimpse

_sensor = functools.partial(window_sensor, weigh=lambda _, *window: glimpse.bilinear_weights(*window))
POLICY = Policy(layers=lambda _: {"window": 3}, aim=choose_window, make_sensor=_sensor, is_differentiable=True)
