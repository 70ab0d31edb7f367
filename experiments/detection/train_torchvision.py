"""Trains a torchvision detector from scratch for a given time on a folder of write_coco.py, and scores it on the test split.

    python experiments/detection/train_torchvision.py --data FOLDER --out RUN --minutes 10 --size 96 96 --channels 1
    python experiments/detection/train_torchvision.py --data FOLDER --out RUN --minutes 60 --size 240 320 --batch 8 --augment flip

AdamW; the learning rate rises linearly and then falls with the cosine of the time used. Each of the evenly spaced evaluations
scores the moving average of the weights on the validation split; the best one is scored on the test split. Evaluation does not
count as training time. RUN gets model.pt, test_results.json (COCO results) and summary.json.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch_detectors import HEADS, STEMS, Design, build, parameters
from torch_pictures import Picture, Rows, annotation_file, average_precision, category_ids, read_json, read_split, result_rows
from torchvision import tv_tensors
from torchvision.transforms import v2

AUGMENTATIONS = ("none", "flip", "flips", "crop")
EVALUATION_BATCH = 16
Augment = Callable[[Picture], tuple[Tensor, dict[str, Tensor]]]


def make_augmentation(name: str, size: tuple[int, int]) -> Augment:
    """Returns a function from a picture to an image in [0, 1] and its target: flip: horizontal; flips: both; crop: as for SSDLite in
    torchvision's training reference (random crop by IoU, horizontal flip)."""
    steps: dict[str, list[nn.Module]] = {
        "none": [],
        "flip": [v2.RandomHorizontalFlip()],
        "flips": [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()],
        "crop": [v2.RandomIoUCrop(), v2.SanitizeBoundingBoxes(), v2.Resize(size, antialias=True), v2.RandomHorizontalFlip()],
    }
    transform = v2.Compose(steps[name]) if steps[name] else None

    def augment(picture: Picture) -> tuple[Tensor, dict[str, Tensor]]:
        image, boxes, labels = picture.pixels_cxhxw, picture.boxes_nx4, picture.labels_n
        if transform:
            canvas = (image.shape[1], image.shape[2])
            target = {"boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=canvas), "labels": labels}
            image, target = transform(tv_tensors.Image(image), target)
            image, boxes, labels = image.as_subclass(Tensor), target["boxes"].as_subclass(Tensor), target["labels"]
        return image.float() / 255, {"boxes": boxes, "labels": labels}

    return augment


def batches(pictures: Sequence[Picture], size: int, augment: Augment) -> Iterator[tuple[list[Tensor], list[dict[str, Tensor]]]]:
    """Yields images and targets of shuffled batches without end; an incomplete last batch of an epoch is left out."""
    size = min(size, len(pictures))
    while True:
        order = torch.randperm(len(pictures)).tolist()
        for start in range(0, len(order) - size + 1, size):
            images, targets = zip(*(augment(pictures[index]) for index in order[start : start + size]), strict=True)
            yield list(images), list(targets)


def learning_rate(progress: float, highest: float, warmup: float) -> float:
    """Returns the learning rate at a share of the training time; it rises up to the share `warmup`."""
    if progress < warmup:
        return highest * progress / warmup
    return highest * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


@torch.inference_mode()
def detect(model: nn.Module, pictures: Sequence[Picture], categories: Sequence[int]) -> Rows:
    """Returns COCO results of pictures, in pixels of their files."""
    model.eval()
    rows: Rows = []
    for start in range(0, len(pictures), EVALUATION_BATCH):
        part = pictures[start : start + EVALUATION_BATCH]
        for picture, found in zip(part, model([picture.pixels_cxhxw.float() / 255 for picture in part]), strict=True):
            height, width = picture.pixels_cxhxw.shape[1:]
            boxes = found["boxes"] * torch.tensor([picture.width / width, picture.height / height] * 2)
            rows += result_rows(picture.id, boxes, found["scores"].tolist(), found["labels"].tolist(), categories)
    return rows


def train(
    model: nn.Module, pictures: Sequence[Picture], evaluate: Callable[[nn.Module], float], options: argparse.Namespace
) -> dict[str, Any]:
    """Trains for `options.minutes`; returns the best weights, the number of steps, the seconds and the values of `evaluate`."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options.lr, fused=True)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(options.ema), use_buffers=True)
    stream = batches(pictures, options.batch, make_augmentation(options.augment, tuple(options.size)))
    budget, seconds, steps, values, best = 60 * options.minutes, 0.0, 0, [], {}
    while seconds < budget:
        model.train()
        while seconds < budget * (len(values) + 1) / options.evaluations:
            start = time.perf_counter()
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(seconds / budget, options.lr, options.warmup)
            optimizer.zero_grad(set_to_none=True)
            loss = sum(model(*next(stream)).values())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
            optimizer.step()
            average.update_parameters(model)
            steps, seconds = steps + 1, seconds + time.perf_counter() - start
        values.append(evaluate(average.module))
        print(f"step {steps}, {seconds:.0f} s: loss {loss.item():.3f}, validation AP {values[-1]:.4f}", flush=True)
        if values[-1] == max(values):
            best = copy.deepcopy(average.module.state_dict())
    return {"weights": best, "steps": steps, "seconds": round(seconds, 1), "validation_ap": values}


def main() -> None:
    """Trains and scores as the command line describes."""
    options = read_options()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    size = tuple(options.size)
    categories = category_ids(read_json(annotation_file(options.data, "train")))
    pictures = read_split(options.data, "train", options.channels, None if options.augment == "crop" else size)
    validation, test = (read_split(options.data, split, options.channels, size) for split in ("val", "test"))
    fields = {field.name for field in dataclasses.fields(Design)} - {"classes", "size", "strides"}
    design = Design(len(categories), size, strides=tuple(options.strides), **{name: getattr(options, name) for name in fields})
    model = build(design)

    def evaluate(current: nn.Module) -> float:
        return average_precision(annotation_file(options.data, "val"), detect(current, validation, categories))["ap"]

    trained = train(model, pictures, evaluate, options)
    model.load_state_dict(trained.pop("weights"))
    rows = detect(model, test, categories)
    options.out.mkdir(parents=True, exist_ok=True)
    torch.save({"design": dataclasses.asdict(design), "weights": model.state_dict()}, options.out / "model.pt")
    (options.out / "test_results.json").write_text(json.dumps(rows))
    summary = {"parameters": parameters(model), **trained, "images_per_step": min(options.batch, len(pictures))}
    summary |= {"test": average_precision(annotation_file(options.data, "test"), rows), "design": dataclasses.asdict(design)}
    summary |= {"options": {name: str(value) for name, value in vars(options).items()}, "torch": torch.__version__}
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps({key: summary[key] for key in ("parameters", "steps", "seconds", "test")}))


def read_options() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="a folder of write_coco.py")
    parser.add_argument("--out", required=True, type=Path, help="the folder for the model and the results")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, without evaluation (default: 10)")
    parser.add_argument("--size", type=int, nargs=2, default=[96, 96], metavar=("H", "W"), help="images are stretched to it (96 96)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--augment", choices=AUGMENTATIONS, default="none")
    parser.add_argument("--lr", type=float, default=1e-3, help="the highest learning rate (default: 1e-3)")
    parser.add_argument("--warmup", type=float, default=0.05, help="share of the time in which it rises (default: 0.05)")
    parser.add_argument("--weight-decay", type=float, default=0.05)
    parser.add_argument("--clip-norm", type=float, default=10.0, help="largest norm of the gradient (default: 10)")
    parser.add_argument("--ema", type=float, default=0.99, help="decay of the moving average that is evaluated (default: 0.99)")
    parser.add_argument("--evaluations", type=int, default=4, help="on the validation split (default: 4)")
    add_design(parser)
    return parser.parse_args()


def add_design(parser: argparse.ArgumentParser) -> None:
    """Adds the options of a `Design`."""
    parser.add_argument("--head", choices=HEADS, default="fcos")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3, help="of the images (default: 3)")
    parser.add_argument("--width", type=int, default=32, help="channels of the first stage (default: 32; ResNet-18: 64)")
    parser.add_argument("--blocks", type=int, default=1, help="of each stage (default: 1; ResNet-18: 2)")
    parser.add_argument("--stem", choices=list(STEMS), default="small")
    parser.add_argument("--strides", type=int, nargs="+", default=[8, 16, 32], help="of the levels, the first at least 4 (8 16 32)")
    parser.add_argument("--pyramid", type=int, default=64, help="channels of each level, a multiple of 32 (default: 64)")
    parser.add_argument("--convs", type=int, default=2, help="of each branch of the head of FCOS (default: 2)")


if __name__ == "__main__":
    main()
