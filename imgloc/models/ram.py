"""Recurrent attention model (RAM; Mnih et al., 2014, arXiv:1406.6247): reads an image by a few small glimpses and chooses their places.

A glimpse consists of patches around one place, one patch for each scale. A glimpse network encodes the patches together with the place,
a recurrent core reads the encoding, and the class and the box are predicted from the state of the core. A policy, one of
`imgloc/models/policies`, chooses the next place from that state; the learned policy also predicts the reward (the baseline). Its
REINFORCE loss trains the core and the glimpse network too, since the class alone does not need a state that knows where things are.
In evaluation, random numbers are derived from the pixels of each image.

With a context network (Ba et al., 2015, arXiv:1412.7755) the policy has its own recurrent layer above the core, whose initial state
encodes a coarse view of the whole image. The first place is then chosen as well, while the class is still read from glimpses alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import UserError, check_at_least, look_up
from imgloc.models.policies import gaussian, learned, transformer, uniform
from imgloc.models.policies.policy import Policy, PolicyInput, encode_location
from imgloc.types import MAX_PARTIAL_STEPS, Outputs

TINY = {"glimpses": 2, "size": 4, "scales": 2, "units": 8, "glimpse_hidden": 8}
VARIANTS = {
    "gaussian": {**TINY, "policy": "gaussian", "scales": 1}, "transformer": {**TINY, "policy": "transformer", "scales": 1},
    "located": {**TINY, "locate": True, "num_rollouts": 2}, "labels": {**TINY, "labels": 2, "context": 4},
}  # fmt: skip
EVALUATION_FIELDS = ("num_rollouts",)  # fields that change no parameter: a trained model can be evaluated with other values
POLICIES = {"learned": learned.POLICY, "random": uniform.POLICY, "gaussian": gaussian.POLICY, "transformer": transformer.POLICY}
MIN_LOCATION_STD = 1e-4  # float32 hardly resolves places that are closer together


class Model(nn.Module):
    """Outputs: logits; box with `locate`; fixations (b, g, 4), the window of each glimpse at its finest scale; partial_predictions.

    With `labels`: sequence (b, labels, k) from left to right; logits are those of the first label, and there are no partial predictions.
    With `num_rollouts`, logits and box are means over rollouts; fixations, `seen` and features are those of the first rollout.

    features: places (b, g, 2), x and y in [0, 1]. The learned policy adds, for each of the c places that it chose (with a context all
    of them, else all but the first): means (b, c, 2) of the distributions of places, log_probability (b, c) of the sampled places, and
    baselines (b, c), the rewards that were expected at that time.
    """

    num_classes: int
    glimpses: int = 6
    size: int = 8  # pixels a side of the patches of a glimpse
    scales: int = 1  # number of patches; each covers twice the side of the one before
    units: int = 256  # of the core, and of the encoding of a glimpse
    glimpse_hidden: int = 128  # units of the hidden layers of the glimpse network (one for patches, one for places) and of the policy
    policy: str = "learned"  # learned, random, gaussian or transformer
    location_std: float = 0.05  # standard deviation of sampled places, in sides of the image
    locate: bool = False  # adds a box, predicted from the state of the core
    labels: int = 0  # length of the sequence of labels, each predicted after `glimpses` glimpses; 0: one class
    context: int = 0  # pixels a side of the coarse view that the context network reads; 0: no context network
    num_rollouts: int = 0  # rollouts with sampled places that evaluation averages; 0: one rollout along the means of the policy

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        glimpses = self.glimpses * max(self.labels, 1)
        self._check_fields(glimpses)
        self._check_image_size(*images.shape[1:3])
        rollouts = 1 if train else max(self.num_rollouts, 1)
        repeated = jnp.repeat(images, rollouts, axis=0)  # the rollouts of an image are adjacent in the batch
        key = self.make_rng("dropout") if train else jax.random.key(0)
        seeds_b = jnp.arange(repeated.shape[0]) if train else _seeds_from_pixels(images, rollouts)
        keys_b = jax.vmap(lambda seed: jax.random.fold_in(key, seed))(seeds_b)
        network = Network(
            num_classes=self.num_classes, size=self.size, scales=self.scales, units=self.units, glimpse_hidden=self.glimpse_hidden,
            policy=POLICIES[self.policy], locate=self.locate, context=self.context, name="network",
        )  # fmt: skip
        location_std = self.location_std if train or self.num_rollouts else 0.0
        rollout = network(repeated, keys_b, glimpses=glimpses, location_std=location_std)
        predictions = rollout.predictions if rollouts == 1 else _mean_predictions(rollout.predictions, rollouts)
        outputs: dict[str, jax.Array | dict[str, jax.Array]] = {name: array[:, -1] for name, array in predictions.items()}
        if self.labels:
            sequence = predictions["logits"][:, self.glimpses - 1 :: self.glimpses]
            outputs |= {"sequence": sequence, "logits": sequence[:, 0]}
        outputs["features"] = {name: array[::rollouts] for name, array in rollout.features.items()}
        if train:
            return outputs
        outputs["fixations"] = fixations = rollout.windows[::rollouts]
        if not self.labels:
            seen = jax.lax.cummax(rollout.visible[::rollouts], axis=1)
            outputs["partial_predictions"] = {**predictions, "fixations": fixations, "seen": seen}
        return outputs

    def _check_fields(self, glimpses: int) -> None:
        check_at_least(1, glimpses=self.glimpses, size=self.size, scales=self.scales, units=self.units, glimpse_hidden=self.glimpse_hidden)
        check_at_least(0, num_rollouts=self.num_rollouts, labels=self.labels, context=self.context)
        policy = look_up("policy (model.policy)", self.policy, POLICIES)
        if glimpses > MAX_PARTIAL_STEPS:
            raise UserError(f"model.glimpses (times model.labels, if set) must be at most {MAX_PARTIAL_STEPS}, got {glimpses}")
        if self.context and not policy.learns_from_reward:
            raise UserError(f"model.context requires model.policy=learned, got {self.policy}; set model.context=0 or model.policy=learned")
        if policy.learns_from_reward and not self.context and glimpses < 2:
            raise UserError("model.glimpses must be at least 2, got 1: the first place is random; else set model.context or policy=random")
        if self.labels and self.locate:
            raise UserError("model.locate predicts the box of one object, so model.labels must be 0; or set model.locate=False")
        if policy.is_differentiable and (self.scales > 1 or self.num_rollouts):
            raise UserError(f"model.policy={self.policy} has one scale and samples nothing; set model.scales=1 and model.num_rollouts=0")
        if not MIN_LOCATION_STD <= self.location_std <= 1:
            raise UserError(f"model.location_std must be from {MIN_LOCATION_STD} to 1, got {self.location_std}")

    def _check_image_size(self, height: int, width: int) -> None:
        """Raises UserError for glimpses that lie mostly beyond the image: they show nothing more but need more memory."""
        side = max(height, width)
        for name, value, limit in (
            ("size", self.size, 2 * side), ("scales", self.scales, side.bit_length()), ("context", self.context, side),
        ):  # fmt: skip
            if value > limit:
                raise UserError(f"model.{name} must be at most {limit} for images of {height} x {width}, got {value}")


class Rollout(NamedTuple):
    """The results of g glimpses of each image."""

    predictions: dict[str, jax.Array]  # after each glimpse: logits (b, g, k) and, with `locate`, box (b, g, 4)
    features: dict[str, jax.Array]
    windows: jax.Array  # (b, g, 4): box of each glimpse at its finest scale
    visible: jax.Array  # (b, g, h, w): pixels that each glimpse shows, see `imgloc.models.policies.policy.View`


class Network(nn.Module):
    """The layers of the glimpse network, the core, the policy and the predictions."""

    num_classes: int
    size: int
    scales: int
    units: int
    glimpse_hidden: int
    policy: Policy
    locate: bool
    context: int

    @nn.compact
    def __call__(self, images: jax.Array, keys_b: jax.Array, *, glimpses: int, location_std: float) -> Rollout:
        """One rollout on each image (b, h, w, c); places are sampled unless `location_std` is 0."""
        dense = {name: nn.Dense(units, name=name) for name, units in self._layers().items()}
        uniform_bxgx2, normal_bxgx2 = _random_numbers(keys_b, glimpses)
        state = jnp.zeros((images.shape[0], self.units), images.dtype)
        policy_state = nn.relu(dense["context"](_coarse_view(images, self.context))) if self.context else state
        sensor = self.policy.make_sensor(images, self.size, self.scales)
        collected: dict[str, list[jax.Array]] = {}
        for i in range(glimpses):
            is_start = i == 0 and not self.context
            inputs = PolicyInput(policy_state, is_start, uniform_bxgx2[:, i], normal_bxgx2[:, i], location_std)
            aim, features = self.policy.aim(dense, inputs)
            view = sensor(aim)
            what, where = dense["what"](view.patches_bxn), dense["where"](encode_location(aim).astype(images.dtype))
            glimpse_bxu = nn.relu(dense["glimpse"](nn.relu(jnp.concatenate([what, where], axis=-1))))
            state = nn.relu(dense["core"](jnp.concatenate([state, glimpse_bxu], axis=-1)))
            outputs = {**features, "logits": dense["classes"](state), "places": aim.place_bx2}
            outputs |= {"windows": view.window_bx4, "visible": view.visible_bxhxw}
            if self.locate:
                outputs["box"] = boxes.from_low_size_logits(dense["box"](state).astype(jnp.float32), nn.sigmoid)
            policy_state = nn.relu(dense["guide"](jnp.concatenate([policy_state, state], axis=-1))) if self.context else state
            for name, array in outputs.items():
                collected.setdefault(name, []).append(array)
        stacked = {name: jnp.stack(arrays, axis=1) for name, arrays in collected.items()}
        predictions: dict[str, jax.Array] = {name: stacked.pop(name) for name in ("logits", "box") if name in stacked}
        return Rollout(predictions, windows=stacked.pop("windows"), visible=stacked.pop("visible"), features=stacked)

    def _layers(self) -> dict[str, int]:
        """The units of each dense layer by name."""
        hidden, units = self.glimpse_hidden, self.units
        layers = {"what": hidden, "where": hidden, "glimpse": units, "core": units, "classes": self.num_classes}
        layers |= {"box": 4} if self.locate else {}
        layers |= {"context": units, "guide": units} if self.context else {}
        return {**layers, **self.policy.layers(hidden)}


def _coarse_view(images: jax.Array, side: int) -> jax.Array:
    """Each whole image resized to `side` pixels a side, (b, side side c)."""
    shape = (images.shape[0], side, side, images.shape[-1])
    view: jax.Array = jax.image.resize(images, shape, "linear").reshape(images.shape[0], -1)
    return view


def _random_numbers(keys_b: jax.Array, glimpses: int) -> tuple[jax.Array, jax.Array]:
    """Uniform numbers in [0, 1] and standard normal numbers, (b, g, 2) each."""

    def sample(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        uniform_key, normal_key = jax.random.split(key)
        return jax.random.uniform(uniform_key, (glimpses, 2), jnp.float32), jax.random.normal(normal_key, (glimpses, 2), jnp.float32)

    numbers: tuple[jax.Array, jax.Array] = jax.vmap(sample)(keys_b)
    return numbers


def _seeds_from_pixels(images: jax.Array, rollouts: int) -> jax.Array:
    """A seed for each rollout of each image, (b rollouts,): a hash of its pixels, so that it does not depend on the batch."""
    pixels = jnp.round(images.astype(jnp.float32) * 255).astype(jnp.uint32).reshape(images.shape[0], -1)
    odd = 2 * jnp.arange(pixels.shape[1], dtype=jnp.uint32) + 1
    hash_b = ((pixels * (odd * jnp.uint32(2654435761))) ^ (pixels << 7)).sum(axis=-1, dtype=jnp.uint32)  # Knuth's multiplicative hash
    seeds: jax.Array = (hash_b[:, None] + jnp.uint32(0x9E3779B9) * jnp.arange(rollouts, dtype=jnp.uint32)).reshape(-1)
    return seeds


def _mean_predictions(predictions: dict[str, jax.Array], rollouts: int) -> dict[str, jax.Array]:
    """The mean probabilities, as logits, and mean boxes of adjacent rollouts: from (b rollouts, g, ...) to (b, g, ...)."""
    separate = {name: array.reshape(-1, rollouts, *array.shape[1:]) for name, array in predictions.items()}
    mean = {name: array.mean(axis=1) for name, array in separate.items()}
    return {**mean, "logits": jax.nn.logsumexp(jax.nn.log_softmax(separate["logits"]), axis=1) - math.log(rollouts)}
