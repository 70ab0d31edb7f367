"""The names of the layers of inverted residual blocks in timm and in torchvision."""

from __future__ import annotations

TIMM_WITHOUT_EXPANSION = {  # the layers of blocks that do not expand, as timm calls them
    "depthwise": "conv_dw", "depthwise_norm": "bn1", "squeeze": "se.conv_reduce", "excite": "se.conv_expand", "project": "conv_pw",
    "project_norm": "bn2",
}  # fmt: skip
TIMM_WITH_EXPANSION = {  # and of those that do
    "expand": "conv_pw", "expand_norm": "bn1", "depthwise": "conv_dw", "depthwise_norm": "bn2", "squeeze": "se.conv_reduce",
    "excite": "se.conv_expand", "project": "conv_pwl", "project_norm": "bn3",
}  # fmt: skip


def torchvision_layers(*, expands: bool, squeezes: bool = True) -> dict[str, str]:
    """The layers of an inverted residual block as torchvision calls them: by their position among those that the block has."""
    parts = [name for name, there in (("expand", expands), ("depthwise", True), ("squeeze", squeezes), ("project", True)) if there]
    layers: dict[str, str] = {}
    for position, name in enumerate(parts):
        if name == "squeeze":
            layers |= {"squeeze": f"block.{position}.fc1", "excite": f"block.{position}.fc2"}
        else:
            layers |= {name: f"block.{position}.0", f"{name}_norm": f"block.{position}.1"}
    return layers
