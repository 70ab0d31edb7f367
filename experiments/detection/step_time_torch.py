"""Times torchvision's FCOS or SSDLite with a ResNet-18 and a feature pyramid; prints one line of JSON.

    python experiments/detection/step_time_torch.py --head fcos --pyramid 128 --convs 2

Times are medians in milliseconds: network (backbone, pyramid and head), detect (network, decoding and suppression), train (forward,
loss, backward, fused AdamW). in_turns.py runs several such commands in turns, in the environment of experiments/speed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch_detectors import Design, build, parameters
from train_torchvision import add_design

sys.path.insert(0, str(Path(__file__).parents[2]))  # the module below imports nothing of imgloc
from benchmarks.measure import WARM_UP, repeat

OBJECTS = 12  # of an image


def calls(design: Design, batch: int, layout: torch.memory_format) -> tuple[int, dict[str, Callable[[], object]]]:
    """Returns the number of parameters, and what is timed by name."""
    torch.manual_seed(0)
    model = build(design).to(memory_format=layout)
    height, width = design.size
    images = [torch.rand(design.channels, height, width) for _ in range(batch)]
    targets = [_target(design) for _ in range(batch)]
    stacked = torch.stack(images).contiguous(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    @torch.inference_mode()
    def network() -> object:
        model.eval()
        return model.head(list(model.backbone(stacked).values()))

    @torch.inference_mode()
    def detect() -> object:
        model.eval()
        return model(images)

    def train() -> None:
        model.train()
        optimizer.zero_grad(set_to_none=True)
        sum(model(images, targets).values()).backward()
        optimizer.step()

    return parameters(model), {"network": network, "detect": detect, "train": train}


def _target(design: Design) -> dict[str, Tensor]:
    """Returns random boxes with sides from a sixteenth to a third of the image."""
    size = torch.tensor([design.size[1], design.size[0]])
    sides = size * (1 / 16 + torch.rand(OBJECTS, 2) * (1 / 3 - 1 / 16))
    corners = torch.rand(OBJECTS, 2) * (size - sides)
    return {"boxes": torch.cat([corners, corners + sides], 1), "labels": torch.randint(1, design.classes + 1, (OBJECTS,))}


def main() -> None:
    """Prints the times of one design."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=[320, 320], metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--layout", choices=("channels_last", "contiguous_format"), default="channels_last")
    parser.add_argument("--only", nargs="+", choices=("network", "detect", "train"), default=["network", "detect", "train"])
    parser.add_argument("--quick", action="store_true", help="three repeats")
    add_design(parser)
    parser.set_defaults(width=64, blocks=2, stem="resnet", pyramid=256, convs=4)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    fields = {field.name for field in dataclasses.fields(Design)} - {"size", "strides"}
    chosen = {name: getattr(options, name) for name in fields}
    design = Design(size=tuple(options.size), strides=tuple(options.strides), **chosen)
    count, timed = calls(design, options.batch, getattr(torch, options.layout))
    result: dict[str, object] = {"head": design.head, "pyramid": design.pyramid, "convs": design.convs, "parameters": count}
    for name in options.only:
        for _ in range(1 if options.quick else WARM_UP):
            timed[name]()
        result[f"{name}_ms"] = round(statistics.median(repeat(timed[name], quick=options.quick)), 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
