"""Recurrent attention: a network that sees a few small glimpses of an image and chooses where (Mnih et al., 2014, arXiv:1406.6247).

A glimpse, patches of several scales around a place, becomes features together with the place; a recurrent core reads them; from its
state come the class, the box, the next place and the baseline of the reward. Places are drawn from a normal distribution around what
the policy says; through a drawn place no gradient passes, the policy learns by `imgloc.losses.reinforce` alone, which reaches the core
and the sensor too: a core that learned by its answers only would not know where things are. The first place is uniform, in evaluation
too, where each picture has its own, drawn from its pixels.

The words: a glimpse is what is seen at once, its patches (of each scale one) together with its place; the place is its middle; a look is
its window on the image as a box, of several scales the finest; a path is all glimpses of one image.

With a context network (Ba et al., 2015, arXiv:1412.7755) the policy has a recurrent layer of its own above the core's, which begins
with a coarse view of the whole image: so the first place is chosen too, and the class is still read from glimpses alone. And instead of
one class the network may say a sequence of labels, one for each object from left to right, after some glimpses each.

Other policies, for comparison: random, uniform places; gaussian, differentiable filters after DRAW's (Gregor et al., 2015,
arXiv:1502.04623; without its intensity, its windows no larger than the image, in this network and not in an LSTM's); transformer, the
sampling of a spatial transformer that shifts and scales (Jaderberg et al., 2015, arXiv:1506.02025). The last two choose the size of
their window as well and learn by the answer's gradient; their first window is a learned one, the same for all images. Windows begin
at a quarter of the image a side: of the whole image they show so little of what is small that nothing tells them to draw closer.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from imgloc import boxes
from imgloc.errors import UserError, check_at_least, look_up
from imgloc.nn import glimpse
from imgloc.types import MAX_MOMENTS, Outputs

TINY = {"glimpses": 2, "size": 4, "scales": 2, "units": 8, "sensed": 8}
VARIANTS = {
    "gaussian": {**TINY, "policy": "gaussian", "scales": 1}, "transformer": {**TINY, "policy": "transformer", "scales": 1},
    "located": {**TINY, "locate": True, "draws": 2}, "labels": {**TINY, "labels": 2, "context": 4},
}  # fmt: skip
FAINT = 0.01  # of a window's largest weight: what weighs less does not count as seen
LOSSES = {"reinforce": "baselines", "sequence": "sequence"}  # loss: the output that, where a model gives it, no other loss trains
CHANGEABLE = ("draws",)  # fields that change no parameter: a trained model may be scored with others
QUARTER = math.log(3)  # exp(-softplus(log 3)) is a quarter
LEAST_DEVIATION = 1e-4  # float32 tells places that lie closer together hardly apart
POLICIES = ("learned", "random", "gaussian", "transformer")


class Model(nn.Module):
    """Outputs: logits; box where `locate`; looks (b, g, 4), the windows of glimpses, of scales the finest; steps: all by glimpse.

    Where `labels`: sequence (b, labels, k); logits are then the first label's, and there are no steps. Where `draws`, logits and box are
    means over the paths; looks, seen and features are the first path's.

    features: places (b, g, 2), x and y in [0, 1]; of the learned policy for the c it chose, all but the first or with a context all:
    means (b, c, 2), what it said, log_probability (b, c) of what was drawn, baselines (b, c), the reward that was expected then.
    """

    num_classes: int
    glimpses: int = 6
    size: int = 8  # pixels a side of a glimpse's patches
    scales: int = 1  # patches; each shows twice the side of the one before
    units: int = 256  # of the core, and of a glimpse's features
    sensed: int = 128  # units for what is seen, for where, before they are joined, and of the policy
    policy: str = "learned"  # random, gaussian, transformer
    deviation: float = 0.05  # of the places drawn in training, in sides of the image
    locate: bool = False  # with a box, read from the core's state
    labels: int = 0  # said one after the other, `glimpses` for each; 0: one class
    context: int = 0  # pixels a side of the coarse view that the context network reads; 0: none
    draws: int = 0  # in evaluation, paths of drawn places whose probabilities are averaged; 0: one path, of the policy's means

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> Outputs:
        """Outputs for images (b, h, w, c) in [0, 1]."""
        self._check()
        self._check_images(*images.shape[1:3])
        count = 1 if train else max(self.draws, 1)
        seen = jnp.repeat(images, count, axis=0)  # an image's paths lie side by side in the batch
        key = self.make_rng("dropout") if train else jax.random.key(0)
        keys_b = jax.vmap(lambda number: jax.random.fold_in(key, number))(jnp.arange(len(seen)) if train else _numbers(images, count))
        network = Network(
            num_classes=self.num_classes, size=self.size, scales=self.scales, units=self.units, sensed=self.sensed, policy=self.policy,
            locate=self.locate, context=self.context, name="network",
        )  # fmt: skip
        glimpses, deviation = self.glimpses * max(self.labels, 1), self.deviation if train or self.draws else 0.0
        path = network(seen, keys_b, glimpses=glimpses, deviation=deviation)
        answers = path.answers if count == 1 else _averaged(path.answers, count)
        outputs: dict[str, Any] = {name: array[:, -1] for name, array in answers.items()}
        if self.labels:
            outputs["sequence"] = answers["logits"][:, self.glimpses - 1 :: self.glimpses]
            outputs["logits"] = outputs["sequence"][:, 0]
        outputs["features"] = {name: array[::count] for name, array in path.features.items()}  # of the first path
        if train:
            return outputs
        looks_bxgx4 = path.looks[::count]
        if self.labels:
            return {**outputs, "fixations": looks_bxgx4}
        steps = {**answers, "fixations": looks_bxgx4, "seen": jax.lax.cummax(path.shown[::count], axis=1)}
        return {**outputs, "fixations": looks_bxgx4, "partial_predictions": steps}

    def _check(self) -> None:
        check_at_least(1, glimpses=self.glimpses, size=self.size, scales=self.scales, units=self.units, sensed=self.sensed)
        check_at_least(0, draws=self.draws, labels=self.labels, context=self.context)
        look_up("policy (model.policy)", self.policy, dict.fromkeys(POLICIES))
        if self.glimpses * max(self.labels, 1) > MAX_MOMENTS:
            raise UserError(f"model.glimpses is {self.glimpses}, with all labels; possible: {MAX_MOMENTS} glimpses at most in all")
        if self.context and self.policy != "learned":
            raise UserError(f"model.context is for policy=learned, got {self.policy}; possible: model.context=0")
        if self.policy == "learned" and not self.context and self.glimpses * max(self.labels, 1) < 2:
            raise UserError("model.glimpses=1 is at random and leaves nothing to choose; possible: 2, model.context, policy=random")
        if self.labels and self.locate:
            raise UserError("model.locate reads one box, model.labels several labels; possible: one of them")
        if self.policy in ("gaussian", "transformer") and (self.scales > 1 or self.draws):
            raise UserError(f"model.policy={self.policy} has one scale and nothing to draw; possible: model.scales=1 and model.draws=0")
        if not LEAST_DEVIATION <= self.deviation <= 1:
            raise UserError(f"model.deviation is {self.deviation}; possible: {LEAST_DEVIATION} to 1")

    def _check_images(self, height: int, width: int) -> None:
        """Refuse windows that are mostly beyond the image: nothing is gained by them, and they grow without end."""
        side = max(height, width)
        for name, value, most in (
            ("size", self.size, 2 * side), ("scales", self.scales, side.bit_length()), ("context", self.context, side),
        ):  # fmt: skip
            if value > most:
                raise UserError(f"model.{name} is {value}; possible for images of {height} x {width}: up to {most}")


class Aim(NamedTuple):
    """Where a glimpse looks: a place (b, 2); where the policy chooses it, a window's side (b,), in sides of the image, and its blur."""

    place: jax.Array
    side: jax.Array | None = None
    blur: jax.Array | None = None  # (b,), the standard deviation in half strides of the filters


class Path(NamedTuple):
    """What came of one path of glimpses g over each image."""

    answers: dict[str, jax.Array]  # logits (b, g, k) and box (b, g, 4) after each
    features: dict[str, jax.Array]
    looks: jax.Array  # (b, g, 4): the window of each glimpse, of its finest scale
    shown: jax.Array  # (b, g, h, w): what each glimpse showed, 1 at its finest scale, less at others


class Network(nn.Module):
    """The glimpse's, core's, location's, baseline's and answer's layers."""

    num_classes: int
    size: int
    scales: int
    units: int
    sensed: int
    policy: str
    locate: bool
    context: int

    @nn.compact
    def __call__(self, images: jax.Array, keys_b: jax.Array, *, glimpses: int, deviation: float) -> Path:
        """A path over each image (b, h, w, c), places drawn with a deviation where it is not 0."""
        dense = {name: nn.Dense(units, name=name) for name, units in self._layers().items()}
        uniform_bxgx2, normal_bxgx2 = _random(keys_b, glimpses)
        state = jnp.zeros((len(images), self.units), images.dtype)
        guide = nn.relu(dense["context"](_coarse(images, self.context))) if self.context else state
        levels = [] if "window" in dense else glimpse.pooled(images, self.scales)
        found: dict[str, list[jax.Array]] = {}

        def keep(**arrays: jax.Array) -> None:
            for name, array in arrays.items():
                found.setdefault(name, []).append(array)

        for i in range(glimpses):
            if "window" in dense:
                aim = self._window(dense["window"](state))
            elif self.policy == "random" or not (i or self.context):
                aim = Aim(uniform_bxgx2[:, i])
            else:
                plan = nn.relu(dense["plan"](guide))
                mean = (1 + jnp.tanh(dense["place"](plan).astype(jnp.float32))) / 2
                drawn = jax.lax.stop_gradient(mean + deviation * normal_bxgx2[:, i])
                aim = Aim(drawn.clip(0, 1))
                keep(means=mean, baselines=dense["baseline"](plan).astype(jnp.float32)[:, 0])
                if deviation > 0:
                    keep(log_probability=log_normal(drawn, mean, deviation))
            patches, look, shown = self._patches(images, levels, aim)
            what, where = dense["what"](patches), dense["where"](_told(aim).astype(images.dtype))
            glimpse_bxu = nn.relu(dense["glimpse"](nn.relu(jnp.concatenate([what, where], axis=-1))))
            state = nn.relu(dense["core"](jnp.concatenate([state, glimpse_bxu], axis=-1)))
            keep(logits=dense["classes"](state), places=aim.place, looks=look, shown=shown)
            if self.locate:
                keep(box=boxes.from_low_size_logits(dense["box"](state).astype(jnp.float32), nn.sigmoid))
            guide = nn.relu(dense["guide"](jnp.concatenate([guide, state], axis=-1))) if self.context else state
        whole = {name: jnp.stack(arrays, axis=1) for name, arrays in found.items()}
        looks, shown = whole.pop("looks"), whole.pop("shown")
        answers: dict[str, jax.Array] = {name: whole.pop(name) for name in ("logits", "box") if name in whole}
        return Path(answers, whole, looks, shown)

    def _layers(self) -> dict[str, int]:
        """Units of every dense layer by name."""
        layers = {"what": self.sensed, "where": self.sensed, "glimpse": self.units, "core": self.units, "classes": self.num_classes}
        layers |= {"box": 4} if self.locate else {}
        layers |= {"context": self.units, "guide": self.units} if self.context else {}
        learned = {"plan": self.sensed, "place": 2, "baseline": 1}
        policies = {"learned": learned, "random": {}, "gaussian": {"window": 4}, "transformer": {"window": 3}}
        return layers | policies[self.policy]

    def _window(self, said_bxn: jax.Array) -> Aim:
        """The window that a differentiable policy asks for, no larger than the image; all 0s are its middle, a quarter of it a side."""
        said = said_bxn.astype(jnp.float32)
        side_b = jnp.exp(-nn.softplus(said[:, 2] + QUARTER))
        blur_b = jnp.exp(said[:, 3]) if self.policy == "gaussian" else None
        return Aim((1 + jnp.tanh(said[:, :2])) / 2, side_b, blur_b)

    def _patches(self, images: jax.Array, levels: list[jax.Array], aim: Aim) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The patches of a glimpse, (b, scales size size c), its window (b, 4), and what it shows of the image, (b, h, w).

        Crops are read from `levels`, the image pooled; the other windows from the image.
        """
        height, width = images.shape[1:3]
        if aim.side is None:
            look = glimpse.cropped_boxes(aim.place, self.size, height, width)
            weights = [glimpse.cropped(aim.place, self.size, 2**i, height, width) for i in range(self.scales)]  # for what is shown
            patches = glimpse.crops(levels, aim.place, self.size)
        else:
            window = jnp.concatenate([aim.place, aim.side[:, None], aim.side[:, None]], axis=-1)
            look = jnp.concatenate([aim.place - aim.side[:, None] / 2, aim.place + aim.side[:, None] / 2], axis=-1)
            if aim.blur is None:
                weights = [glimpse.bilinear(window, self.size, height, width)]
            else:
                stride_b = aim.side * max(height, width) / max(self.size - 1, 1)
                weights = [glimpse.gaussian(window, 0.5 * aim.blur * stride_b + 1e-3, self.size, height, width)]
            patches = [glimpse.look(images, weights[0])]
        shown = jnp.zeros(images.shape[:3], jnp.float32)
        for i, (rows, columns) in enumerate(weights):
            by_row, by_column = (each.max(axis=1) > FAINT * each.max(axis=(1, 2))[:, None] for each in (rows, columns))
            inside = by_row[:, :, None] & by_column[:, None]
            shown = jnp.maximum(shown, inside * 0.5**i)
        return jnp.concatenate([patch.reshape(len(images), -1).astype(images.dtype) for patch in patches], axis=-1), look, shown


def _coarse(images: jax.Array, side: int) -> jax.Array:
    """A coarse view of each whole image, (b, side side c)."""
    shape = (len(images), side, side, images.shape[-1])
    view: jax.Array = jax.image.resize(images, shape, "linear").reshape(len(images), -1)
    return view


def _told(aim: Aim) -> jax.Array:
    """What the network is told of where it looks: the place, -1 to 1, and the logarithm of a window's side."""
    place = 2 * aim.place - 1
    return place if aim.side is None else jnp.concatenate([place, jnp.log(aim.side)[:, None]], axis=-1)


def log_normal(drawn_bx2: jax.Array, mean_bx2: jax.Array, deviation: float) -> jax.Array:
    """The logarithm of a normal distribution's density (b,) in both directions."""
    distance_bx2 = (drawn_bx2 - mean_bx2) / deviation
    density_b: jax.Array = -0.5 * (distance_bx2**2).sum(axis=-1) - math.log(2 * math.pi * deviation**2)
    return density_b


def _random(keys_b: jax.Array, glimpses: int) -> tuple[jax.Array, jax.Array]:
    """Uniform places and normal numbers, (b, g, 2) each."""

    def draw(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        uniform, normal = jax.random.split(key)
        return jax.random.uniform(uniform, (glimpses, 2), jnp.float32), jax.random.normal(normal, (glimpses, 2), jnp.float32)

    found: tuple[jax.Array, jax.Array] = jax.vmap(draw)(keys_b)
    return found


def _numbers(images: jax.Array, count: int) -> jax.Array:
    """A number (b count,) for each path over each image: the same picture has the same ones in any batch."""
    pixels = jnp.round(images.astype(jnp.float32) * 255).astype(jnp.uint32).reshape(len(images), -1)
    odd = 2 * jnp.arange(pixels.shape[1], dtype=jnp.uint32) + 1
    own_b = ((pixels * (odd * jnp.uint32(2654435761))) ^ (pixels << 7)).sum(axis=-1, dtype=jnp.uint32)  # Knuth's multiplicative hash
    numbers: jax.Array = (own_b[:, None] + jnp.uint32(0x9E3779B9) * jnp.arange(count, dtype=jnp.uint32)).reshape(-1)
    return numbers


def _averaged(answers: dict[str, jax.Array], count: int) -> dict[str, jax.Array]:
    """Answers (b, g, ...) of several paths an image as one: mean probabilities, mean boxes."""
    apart = {name: array.reshape(-1, count, *array.shape[1:]) for name, array in answers.items()}
    mean = {name: array.mean(axis=1) for name, array in apart.items()}
    return {**mean, "logits": jax.nn.logsumexp(jax.nn.log_softmax(apart["logits"]), axis=1) - math.log(count)}
