"""The section `model.cell` of a config: the name of a recurrent cell and the settings of its layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml_collections import ConfigDict

from imgloc.config.build import member, model_fields
from imgloc.config.registry import names
from imgloc.config.schema import check_type
from imgloc.errors import UserError, unknown

if TYPE_CHECKING:
    from flax import linen as nn

ROOM = "nn.cells"
LONGEST_NAME = 200  # characters


def cell_layer(name: str) -> type[nn.Module]:
    """Returns the Layer of a cell: a file of imgloc/nn/cells, or a dotted module. Raises UserError for another name."""
    from flax import linen as nn

    check_type("model.cell.name", name, "")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise unknown("cell", ascii(name[:40]), names(ROOM))
    layer = member(ROOM, name, "Layer")
    if not (isinstance(layer, type) and issubclass(layer, nn.Module)):
        raise UserError(f"the Layer of cell '{name}' is not a flax.linen Module; see docs/extending")
    return layer


def cell_settings(name: str) -> dict[str, Any]:
    """Returns the settings of a cell with their defaults: the fields of its Layer, except `features`, which the network sets."""
    return {key: default for key, default in model_fields(cell_layer(name)).items() if key != "features"}


def cell_section(model: ConfigDict, default: Mapping[str, Any]) -> ConfigDict:
    """Returns the section `cell` of the section `model`, or the default of the model's field; without a name, the default's name holds."""
    section = model.cell if "cell" in model else ConfigDict()
    if not isinstance(section, ConfigDict):
        raise UserError(f"config key 'model.cell' must be a section such as {{'name': 'gru'}}, got {section!r}")
    section = ConfigDict(section.to_dict() if "name" in section else {**default, **section.to_dict()})
    check_type("model.cell.name", section.name, "")
    return section
