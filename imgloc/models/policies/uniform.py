"""Uniform random places, for comparison with policies that are trained."""

from __future__ import annotations

from imgloc.models.policies.policy import Aim, Policy
from imgloc.models.policies.sensors import crop_sensor

POLICY = Policy(layers=lambda _: {}, aim=lambda _, inputs: (Aim(inputs.uniform_bx2), {}), make_sensor=crop_sensor)
