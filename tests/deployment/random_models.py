"""Models of the smallest sensible fields with random variables: nothing is trained or initialized, which would compile."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import export

from imgloc.config import registry
from imgloc.config.build import fit_of
from imgloc.inference.predict import abstract_variables
from imgloc.nn.apply import predict_step
from imgloc.types import DICT_OUTPUTS

SHAPE = (32, 32, 1)
CLASSES = 3


def forms() -> list[str]:
    """The models that train by gradients, and as `model/variant` their VARIANTS."""
    found = [name for name in registry.names("models") if fit_of(name) is None]
    return found + [f"{name}/{variant}" for name in found for variant in getattr(registry.find("models", name), "VARIANTS", {})]


def random_model(form: str, shape: tuple[int, ...] = SHAPE) -> Any:
    """A function from uint8 images to the arrays that a model returns."""
    name, _, variant = form.partition("/")
    module = registry.find("models", name)
    model = module.Model(num_classes=CLASSES, **(module.VARIANTS[variant] if variant else module.TINY))
    rng = np.random.default_rng(0)

    def draw(path: Any, aval: Any) -> Any:
        if path[-1].key in ("scale", "var"):
            return (1 + 0.1 * rng.random(aval.shape)).astype(aval.dtype)
        spread = 0.3 if len(aval.shape) < 2 else np.prod(aval.shape[:-1]) ** -0.5
        return (rng.standard_normal(aval.shape) * spread).astype(aval.dtype)

    variables = jax.tree_util.tree_map_with_path(draw, abstract_variables(model, shape, name))

    def function(images: Any) -> dict[str, Any]:
        outputs = predict_step(variables, images, model=model)
        return {key: value for key, value in outputs.items() if key not in DICT_OUTPUTS}

    return function


def any_batch(shape: tuple[int, ...] = SHAPE) -> jax.ShapeDtypeStruct:
    """Images of any number."""
    return jax.ShapeDtypeStruct((*export.symbolic_shape("b"), *shape), np.uint8)


def images(count: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Random images."""
    return np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)


def in_jax(function: Any, batch: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs as JAX computes them, compiled without optimization."""
    return jax.device_get(jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})(batch))
