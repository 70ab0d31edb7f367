"""Writes oracles.npz: maps of captum, pytorch-grad-cam and torchcam for a small network, with its weights and images.

Run by hand, `python tests/explanation/write_oracles.py`, where captum 0.9.0, grad-cam 1.5.7, torchcam 0.5.0 and torch are installed.
The network is `Network` of small_networks.py, which has 12 x 12 images; arrays are saved in the layout of JAX.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from captum import attr
from pytorch_grad_cam import AblationCAM, EigenCAM, GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM, XGradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torchcam import methods as torchcam

LABELS = (1, 2)


class Network(torch.nn.Module):
    """Two convolutions with ReLU, global average pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 6, 3, stride=2)
        self.relu1, self.relu2 = torch.nn.ReLU(), torch.nn.ReLU()
        self.pool, self.classes = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Linear(6, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        last = self.relu2(self.conv2(self.relu1(self.conv1(images))))
        return self.classes(self.pool(last).flatten(1))


def channels_last(x: torch.Tensor) -> np.ndarray:
    return np.moveaxis(x.detach().numpy(), 1, -1)


def gradients(model: Network, images: torch.Tensor) -> dict[str, np.ndarray]:
    """Attributions (b, h, w, c) of captum."""
    target = torch.tensor(LABELS)
    computed = {
        "gradient": attr.Saliency(model).attribute(images, target=target, abs=False),
        "gradient_times_input": attr.InputXGradient(model).attribute(images, target=target),
        "integrated_gradients": attr.IntegratedGradients(model).attribute(images, target=target, n_steps=32),
        "guided_backpropagation": attr.GuidedBackprop(model).attribute(images, target=target),
        "deep_lift": attr.DeepLift(model).attribute(images, torch.zeros_like(images), target=target),
    }
    probability = torch.nn.Sequential(model, torch.nn.Softmax(dim=1))
    computed["occlusion"] = attr.Occlusion(probability).attribute(
        images, target=target, sliding_window_shapes=(3, 4, 4), strides=(3, 2, 2), baselines=0.5
    )
    return {name: channels_last(value) for name, value in computed.items()}


def cams(model: Network, images: torch.Tensor) -> dict[str, np.ndarray]:
    """Raw maps (b, h, w) of pytorch-grad-cam, positive part, before they are resized, and of torchcam."""
    computed = {}
    targets = [ClassifierOutputTarget(label) for label in LABELS]
    for name, method in {
        "grad_cam": GradCAM, "grad_cam_plus_plus": GradCAMPlusPlus, "xgrad_cam": XGradCAM, "layer_cam": LayerCAM, "hires_cam": HiResCAM,
        "eigen_cam": EigenCAM, "score_cam": ScoreCAM, "ablation_cam": AblationCAM,
    }.items():  # fmt: skip
        with method(model=model, target_layers=[model.relu2]) as cam:
            kept: list[np.ndarray] = []
            whole = cam.get_cam_image
            cam.get_cam_image = lambda *args, whole=whole, kept=kept: kept.append(whole(*args)) or kept[-1]
            cam(input_tensor=images.clone(), targets=targets)
            computed[name] = kept[0] if name == "eigen_cam" else np.maximum(kept[0], 0)
    for name, method in {"cam": torchcam.CAM, "grad_cam": torchcam.GradCAM, "layer_cam": torchcam.LayerCAM}.items():
        names = {"fc_layer": "classes"} if name == "cam" else {}
        with method(model, target_layer="relu2", **names) as extractor:
            scores = model(images)
            maps = extractor(list(LABELS), *([] if name == "cam" else [scores]), normalized=False)
            computed[f"torchcam_{name}"] = maps[0].detach().numpy()
    return computed


def main() -> None:
    """Writes the file."""
    torch.manual_seed(0)
    model, images = Network().eval(), torch.rand(2, 3, 12, 12)
    weights = {}
    for name, layer in {"conv1": model.conv1, "conv2": model.conv2, "classes": model.classes}.items():
        kernel = layer.weight.detach().numpy()
        weights[f"{name}/kernel"] = kernel.transpose(2, 3, 1, 0) if kernel.ndim == 4 else kernel.T
        weights[f"{name}/bias"] = layer.bias.detach().numpy()
    arrays = {"images": channels_last(images), "logits": model(images).detach().numpy(), **weights}
    arrays |= {f"captum/{name}": value for name, value in gradients(model, images).items()}
    arrays |= {f"cam/{name}": value for name, value in cams(model, images).items()}
    place = Path(__file__).parent / "oracles.npz"
    np.savez_compressed(place, **{name: np.asarray(value, np.float32) for name, value in arrays.items()})
    print(place, place.stat().st_size, {name: value.shape for name, value in arrays.items()})


if __name__ == "__main__":
    main()
