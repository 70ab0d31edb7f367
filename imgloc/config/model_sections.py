"""Sections of `model` in a config that name a part of the model and its settings: such as `model.cell` or `model.backbone`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_collections import ConfigDict

from imgloc.config.build import member, model_fields
from imgloc.config.registry import ROOMS, names
from imgloc.config.schema import check_type
from imgloc.errors import UserError, unknown

if TYPE_CHECKING:
    from flax import linen as nn

LONGEST_NAME = 200  # characters


class Part(NamedTuple):
    """A part of a model that a section names."""

    room: str
    member: str  # the linen module that a file of the room offers
    example: str  # a name
    set_by_model: tuple[str, ...] = ()  # fields of that module which no config sets


#: By the field of the model that holds the section.
PARTS = {
    "cell": Part("nn.cells", "Layer", "gru", ("features",)),
    "backbone": Part("models.backbones", "Backbone", "cnn"),
    "descriptor": Part("models.descriptors", "Descriptor", "hog"),
    "decoder": Part("models.set_decoders", "Decoder", "recurrent"),
    "head": Part("models.score_map_heads", "Head", "cam"),
}


def part_class(field: str, name: str) -> type[nn.Module]:
    """Returns the module of a part: that of a file in its room, or of a dotted module. Raises UserError for another name."""
    from flax import linen as nn

    part, kind = PARTS[field], ROOMS[PARTS[field].room]
    check_type(f"model.{field}.name", name, "")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise unknown(kind, ascii(name[:40]), names(part.room))
    module = member(part.room, name, part.member)
    if not (isinstance(module, type) and issubclass(module, nn.Module)):
        raise UserError(f"the {part.member} of {kind} '{name}' is not a flax.linen Module; see docs/extending")
    return module


def part_settings(field: str, name: str) -> dict[str, Any]:
    """Returns the settings of a part with their defaults: the fields of its module that the model does not set itself."""
    fields = model_fields(part_class(field, name))
    plain = {key: ConfigDict(dict(default)) if isinstance(default, Mapping) else default for key, default in fields.items()}
    return {key: default for key, default in plain.items() if key not in PARTS[field].set_by_model}


def part_section(field: str, model: ConfigDict, default: Mapping[str, Any]) -> ConfigDict:
    """Returns a section of the section `model`, or the default of the model's field; without a name, the default's name holds."""
    section = model[field] if field in model else ConfigDict()
    if not isinstance(section, ConfigDict):
        example = {"name": PARTS[field].example}
        raise UserError(f"config key 'model.{field}' must be a section such as {example}, got {section!r}")
    section = ConfigDict(section.to_dict() if "name" in section else {**default, **section.to_dict()})
    check_type(f"model.{field}.name", section.name, "")
    return section
