"""Times the explanation methods of imgloc; prints one line of JSON, maps per second by method."""

from __future__ import annotations

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import network
from flax import linen as nn

from imgloc.config.registry import declared
from imgloc.devices import runtime
from imgloc.explanation.method import Method, normalize
from imgloc.explanation.question import Question
from imgloc.explanation.targets import class_logit, class_probability
from imgloc.nn.apply import apply_eval
from imgloc.nn.conv import Conv

OPTIONS = {"occlusion": {"patch": 0.25, "stride": 0.125}, "integrated_gradients": {"steps": 32}}
METHODS = (
    "cam", "grad_cam", "grad_cam_plus_plus", "xgrad_cam", "layer_cam", "hires_cam", "eigen_cam", "score_cam", "ablation_cam", "gradient",
    "gradient_times_input", "integrated_gradients", "guided_backpropagation", "deep_lift", "occlusion",
)  # fmt: skip


class Network(nn.Module):
    """The network of network.py."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> dict[str, Any]:
        """Returns the logits."""
        x = images
        for number, stride in enumerate(network.strides()):
            conv = Conv(network.CHANNELS[number + 1], (3, 3), (stride, stride), ((1, 1), (1, 1)), use_bias=False, name=f"conv{number}")
            x = nn.relu(conv(x))
        return {"logits": nn.Dense(network.CLASSES, use_bias=False, name="classes")(x.mean(axis=(1, 2))), "features": {"last": x}}


def main() -> None:
    """Times each method, with maps resized to the images and normalized, as the other programs return them."""
    runtime.prepare()
    variables = {"params": {name: {"kernel": jnp.asarray(kernel)} for name, kernel in network.weights().items()}}
    images, index, key = jnp.asarray(network.images()), jnp.asarray(network.labels())[:, None], jax.random.key(0)
    apply = functools.partial(apply_eval, model=Network())

    def compiled(name: str) -> Any:
        method = declared("explanation.methods", name, Method)
        objective = class_probability if method.bounded else class_logit

        @functools.partial(jax.jit, compiler_options=runtime.compiler_options())
        def explain(variables: Any, images: jax.Array) -> jax.Array:
            raw = method.function(Question(apply, variables, objective, index, "last"), images, key, **OPTIONS.get(name, {}))
            return normalize(jax.image.resize(raw, images.shape[:3], "linear"), signed=method.signed)

        return lambda: explain(variables, images).block_until_ready()

    print(json.dumps(network.maps_per_second({name: compiled(name) for name in METHODS})))


if __name__ == "__main__":
    main()
