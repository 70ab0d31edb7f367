"""The contract of all augmentations, applied to every file of the package, and tests of each augmentation."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imgloc.config import registry
from imgloc.data.augmentations import light, none, photographs
from imgloc.data.transforms.pixels import resize_image as resized_pixels
from imgloc.types import Example
from tests.data.transforms.rectangles import assert_boxes_follow, assert_valid, draw_example, examples, sizes
from tests.refusals import assert_refused

#: Further options of each augmentation: all transforms on, and all transforms off.
ALL = {
    "photographs": {"rotate": 5.0, "hue": 0.1, "blur": 0.5, "sharpen": 0.5, "cutout": 0.5, "covers": 0.2, "smallest": 0.1},
    "light": {"scale": 0.5},
}
OFF = {
    "photographs": {"smallest": 1.0, "flip": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
    "light": {"scale": 0.0, "translate": 0.0, "flip": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0},
    "none": {},
}
EVERY = pytest.mark.parametrize("name", registry.names("data.augmentations"))


def options_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    return {k: p for k, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}


@EVERY
def test_an_augmentation_is_a_function_of_its_options(name: str) -> None:
    module = registry.find("data.augmentations", name)
    parameters = inspect.signature(module.augment).parameters
    assert [k for k, p in parameters.items() if p.kind is not p.KEYWORD_ONLY] == ["example", "random"]
    options = options_of(module.augment)
    assert "size" in options
    defaults = {k: p.default for k, p in options.items()}
    assert all(p.default is not p.empty for p in options.values())
    assert all(isinstance(value, bool | int | float | str | tuple) or (k, value) == ("size", None) for k, value in defaults.items())
    assert module.enlarges(**defaults) >= 1.0
    assert {k: p.default for k, p in options_of(module.enlarges).items()}.items() <= defaults.items(), (
        "augment and enlarges have different defaults"
    )
    undocumented = set(options) - set(re.findall(r"\w+", inspect.getdoc(module.augment) or ""))
    assert not undocumented, undocumented


@EVERY
@settings(max_examples=40)
@given(examples(), st.integers(0, 2**32), st.none() | sizes, st.booleans())
def test_the_same_generator_gives_the_same_bits_and_boxes_are_valid(
    name: str, example: Example, seed: int, size: tuple[int, int] | None, all_parts: bool
) -> None:
    augment = registry.find("data.augmentations", name).augment
    options = ALL.get(name, {}) if all_parts else {}
    before = example.image_hxwxc.copy(), example.boxes_nx4.copy()
    first, second = (augment(example, np.random.default_rng(seed), size=size, **options) for _ in range(2))
    assert np.array_equal(first.image_hxwxc, second.image_hxwxc)
    assert np.array_equal(first.boxes_nx4, second.boxes_nx4)
    assert np.array_equal(first.labels_n, second.labels_n)
    assert first.image_hxwxc.shape[:2] == (size or example.image_hxwxc.shape[:2])
    assert_valid(first, example)
    assert bool(len(first.boxes_nx4)) == bool(len(example.boxes_nx4)), "the object is lost"
    assert np.array_equal(before[0], example.image_hxwxc), "the argument was modified"
    assert np.array_equal(before[1], example.boxes_nx4), "the argument was modified"


@EVERY
def test_boxes_follow_pixels(name: str) -> None:
    """With default options a bright object stays above and a dark background below half of the full intensity."""
    augment, rng = registry.find("data.augmentations", name).augment, np.random.default_rng(0)
    example = draw_example((70, 90), [(10, 15, 45, 40), (60, 20, 85, 65)])
    results = [augment(example, rng, size=size) for size in (None, (50, 60), (100, 100)) for _ in range(30)]
    assert sum(assert_boxes_follow(result) for result in results) > 90


@EVERY
def test_other_generators_give_other_pixels(name: str) -> None:
    augment = registry.find("data.augmentations", name).augment
    example = draw_example((40, 40), [(10, 15, 35, 30)])
    images = {augment(example, np.random.default_rng(seed)).image_hxwxc.tobytes() for seed in range(10)}
    assert len(images) == (1 if name == "none" else 10)


@pytest.mark.parametrize("name", OFF)
def test_with_all_transforms_off_the_same_example_is_returned(name: str) -> None:
    module, example = registry.find("data.augmentations", name), draw_example((40, 50), [(10, 15, 35, 30)])
    assert all(module.augment(example, np.random.default_rng(seed), **OFF[name]) is example for seed in range(8))
    assert module.enlarges(**OFF[name]) == 1.0
    resized = module.augment(example, np.random.default_rng(0), size=(20, 30), **OFF[name])
    assert np.array_equal(resized.image_hxwxc, resized_pixels(example.image_hxwxc, 20, 30))
    assert np.array_equal(resized.boxes_nx4, example.boxes_nx4)


@pytest.mark.parametrize(("module", "options"), [
    (photographs, {"smallest": 0.5}), (photographs, {"flip": 0.5}), (photographs, {"rotate": 10.0}), (photographs, {"brightness": 0.2}),
    (photographs, {"contrast": 0.2}), (photographs, {"saturation": 0.2}), (photographs, {"hue": 0.2}), (photographs, {"blur": 0.5}),
    (photographs, {"sharpen": 0.5}), (photographs, {"cutout": 0.5}), (light, {"scale": 0.1}), (light, {"translate": 0.1}),
    (light, {"flip": 0.5}), (light, {"brightness": 0.2}), (light, {"contrast": 0.2}), (light, {"saturation": 0.2}),
])  # fmt: skip
def test_each_transform_works_alone(module: Any, options: dict[str, float]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    example = dataclasses.replace(draw_example((30, 40), [(10, 5, 20, 20)]), image_hxwxc=image)
    off = OFF[module.__name__.rsplit(".", maxsplit=1)[-1]]
    result = next(r for seed in range(40) if (r := module.augment(example, np.random.default_rng(seed), **off | options)) is not example)
    assert not np.array_equal(result.image_hxwxc, image)
    moves = set(options) & {"smallest", "flip", "rotate", "scale", "translate"}
    assert (not np.array_equal(result.boxes_nx4, example.boxes_nx4)) == bool(moves)


@settings(max_examples=60)
@given(st.floats(0.05, 0.99), st.floats(0.5, 2.0), sizes, st.sampled_from([1.0, 1.7]), st.sampled_from([1.0, 1.7]), st.integers(0, 99))
def test_crops_of_an_image_of_sufficient_size_are_never_enlarged(
    smallest: float, ratio: float, size: tuple[int, int], taller: float, wider: float, seed: int
) -> None:
    """If an image is at least `enlarges` times `size`, every crop has at least the pixels of `size`, up to rounding."""
    options = {"smallest": smallest, "aspect": (ratio, ratio), "size": size}  # every crop is the worst case
    enlarges = photographs.enlarges(**options)
    height, width = int(np.ceil(size[0] * enlarges * taller)), int(np.ceil(size[1] * enlarges * wider))
    middle = (width // 2, height // 2, width // 2 + 1, height // 2 + 1)
    example = draw_example((height, width), [middle], channels=1)
    result = photographs.augment(example, np.random.default_rng(seed), **options, largest=smallest, visible=1.0)
    x0, y0, x1, y1 = result.boxes_nx4[0].astype(np.float64)  # one pixel of the input: the enlargement
    assert (x1 - x0) * size[1] <= 1 + 1 / size[1]
    assert (y1 - y0) * size[0] <= 1 + 1 / size[0]


def test_enlargement_of_known_cases() -> None:
    assert none.enlarges() == none.enlarges(size=(5, 5)) == 1.0
    assert light.enlarges(scale=0.25) == 1.25
    assert photographs.enlarges(smallest=0.25, aspect=(1.0, 1.0)) == 2.0
    assert photographs.enlarges(smallest=0.25, aspect=(0.25, 1.0)) == 4.0
    assert photographs.enlarges(smallest=0.25, aspect=(1.0, 2.0), size=(100, 50)) == 4.0
    assert photographs.enlarges(smallest=1.0, flip=0.5) == 1.0


def test_invalid_options_raise() -> None:
    example, rng = draw_example((20, 20), [(3, 3, 9, 9)]), np.random.default_rng(0)
    for module, options, *parts in [
        (photographs, {"smallest": 0.0}, "'smallest' must be", "got 0.0"),
        (photographs, {"smallest": 0.5, "largest": 0.4}, "'largest' must be from 0.5 to 1", "got 0.4"),
        (photographs, {"flip": 2}, "'flip' must be", "got 2"),
        (photographs, {"cutout": 2}, "'cutout' must be", "got 2"),
        (photographs, {"sigma": 1}, "'sigma' must be", "got 1"),
        (light, {"scale": -0.1}, "'scale' must be", "got -0.1"),
        (light, {"translate": 2}, "'translate' must be", "got 2"),
        (none, {"size": (0, 0)}, "'size' must be", "got (0, 0)"),
    ]:
        assert_refused(lambda m=module, o=options: m.augment(example, rng, **o), *parts)
    assert_refused(lambda: photographs.enlarges(smallest=2.0), "'smallest' must be", "got 2.0")
    assert_refused(lambda: photographs.enlarges(aspect=(2.0, 1.0)), "'aspect' must be", "got (2.0, 1.0)")
    assert_refused(lambda: light.enlarges(scale=9.0), "'scale' must be", "got 9.0")
