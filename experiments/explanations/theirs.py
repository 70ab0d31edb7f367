"""Times captum, pytorch-grad-cam and torchcam on the network of network.py; prints one line of JSON, maps per second by method.

Where pytorch-grad-cam and torchcam both have a method, the faster of the two counts.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable
from typing import Any

import network
import numpy as np
import torch
from captum import attr
from pytorch_grad_cam import AblationCAM, EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM, XGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchcam import methods as torchcam

PYTORCH_GRAD_CAM = {
    "grad_cam": GradCAM, "grad_cam_plus_plus": GradCAMPlusPlus, "xgrad_cam": XGradCAM, "layer_cam": LayerCAM, "hires_cam": HiResCAM,
    "eigen_cam": EigenCAM, "score_cam": ScoreCAM, "ablation_cam": AblationCAM,
}  # fmt: skip
TORCHCAM = {
    "cam": torchcam.CAM, "grad_cam": torchcam.GradCAM, "grad_cam_plus_plus": torchcam.GradCAMpp, "xgrad_cam": torchcam.XGradCAM,
    "layer_cam": torchcam.LayerCAM, "score_cam": torchcam.ScoreCAM,
}  # fmt: skip


class Network(torch.nn.Module):
    """The network of network.py."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        for number, stride in enumerate(network.strides()):
            before, after = network.CHANNELS[number : number + 2]
            layers += [torch.nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), torch.nn.ReLU()]
        self.maps = torch.nn.Sequential(*layers)
        self.pool, self.classes = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Linear(network.CHANNELS[-1], network.CLASSES, bias=False)
        for number, layer in enumerate(layers[::2]):
            layer.weight.data = torch.from_numpy(network.weights()[f"conv{number}"].transpose(3, 2, 0, 1).copy())
        self.classes.weight.data = torch.from_numpy(network.weights()["classes"].T.copy())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns the logits."""
        logits: torch.Tensor = self.classes(self.pool(self.maps(images)).flatten(1))
        return logits


def attributions(model: Network, images: torch.Tensor, target: torch.Tensor) -> dict[str, Callable[[], Any]]:
    """The methods of captum."""
    probability, side = torch.nn.Sequential(model, torch.nn.Softmax(dim=1)), network.SIZE // 4
    occlusion = {"sliding_window_shapes": (3, side, side), "strides": (3, side // 2, side // 2), "baselines": 0.5}
    return {
        "gradient": lambda: attr.Saliency(model).attribute(images, target=target),
        "gradient_times_input": lambda: attr.InputXGradient(model).attribute(images, target=target),
        "integrated_gradients": lambda: attr.IntegratedGradients(model).attribute(images, target=target, n_steps=32),
        "guided_backpropagation": lambda: attr.GuidedBackprop(model).attribute(images, target=target),
        "deep_lift": lambda: attr.DeepLift(model).attribute(images, torch.zeros_like(images), target=target),
        "occlusion": lambda: attr.Occlusion(probability).attribute(images, target=target, **occlusion),
    }


def main() -> None:
    """Prints the numbers."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model, images = Network().eval(), torch.from_numpy(np.moveaxis(network.images(), -1, 1).copy())
    target = torch.from_numpy(network.labels())
    calls = attributions(model, images, target)
    found: dict[str, float] = {}
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):  # progress bars and warnings
        found |= network.maps_per_second(calls)
        for name, kind in PYTORCH_GRAD_CAM.items():
            with kind(model=model, target_layers=[model.maps[-1]]) as cam:
                cam.batch_size = network.BATCH
                targets = [ClassifierOutputTarget(int(label)) for label in network.labels()]
                found |= network.maps_per_second({name: lambda cam=cam, targets=targets: cam(input_tensor=images, targets=targets)})
        for name, kind in TORCHCAM.items():
            names = {"fc_layer": "classes"} if name == "cam" else {}
            with kind(model, target_layer="maps.7", **names) as extractor:

                def call(extractor: Any = extractor) -> None:
                    scores = model(images)
                    (maps,) = extractor(network.labels().tolist(), scores)
                    torch.nn.functional.interpolate(maps[:, None], (network.SIZE, network.SIZE), mode="bilinear")

                speed = network.maps_per_second({name: call})[name]
                found[name] = max(speed, found.get(name, 0.0))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
