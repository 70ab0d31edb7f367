"""The interface of a policy of recurrent attention: where the next glimpse is taken and how it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

Layers: TypeAlias = Mapping[str, Callable[[jax.Array], jax.Array]]  # the dense layers of the network by name


class PolicyInput(NamedTuple):
    """What a policy chooses the next glimpse from."""

    state_bxu: jax.Array  # of the core, or of the policy's own recurrent layer where there is a context network
    is_start: bool  # the state holds no information about the image yet
    uniform_bx2: jax.Array  # random numbers in [0, 1]
    normal_bx2: jax.Array  # standard normal random numbers
    location_std: float  # standard deviation of sampled places, in sides of the image; 0: the mean is taken


class Aim(NamedTuple):
    """Where a glimpse is taken: around a place and, for policies that choose the size too, with a window of that size."""

    place_bx2: jax.Array  # x and y of the center, in [0, 1] of the image
    side_b: jax.Array | None = None  # of the square window, in sides of the image
    blur_b: jax.Array | None = None  # standard deviation of the window's Gaussian filters, in half strides


class View(NamedTuple):
    """What a glimpse shows of each image."""

    patches_bxn: jax.Array  # pixels of the patches of all scales, flattened
    window_bx4: jax.Array  # box of the finest patch, in [0, 1] of the image; it may extend beyond the image
    visible_bxhxw: jax.Array  # of each pixel: 1 in the finest patch, half as much in each coarser one, 0 outside all of them


@dataclass(frozen=True)
class Policy:
    """A policy (`POLICY` in each file of this package), as pure functions."""

    layers: Callable[[int], Mapping[str, int]]  # hidden units -> units of the dense layers that it adds, by name
    #: (layers of the network, input) -> the next aim, and entries for the model's `features`.
    aim: Callable[[Layers, PolicyInput], tuple[Aim, Mapping[str, jax.Array]]]
    #: (images, size of the patches in pixels, number of scales) -> a function from aims to views.
    make_sensor: Callable[[jax.Array, int, int], Callable[[Aim], View]]
    learns_from_reward: bool = False  # its places are sampled and trained by REINFORCE; it can read a context network
    is_differentiable: bool = False  # it is trained by the gradient of the predictions; it reads one window of any size


def encode_location(aim: Aim) -> jax.Array:
    """The location that the glimpse network reads: the place in [-1, 1] and, for a window, the logarithm of its side; (b, 2) or (b, 3)."""
    place = 2 * aim.place_bx2 - 1
    return place if aim.side_b is None else jnp.concatenate([place, jnp.log(aim.side_b)[:, None]], axis=-1)
