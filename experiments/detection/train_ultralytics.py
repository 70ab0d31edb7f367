"""Trains a YOLO of Ultralytics from scratch for a given time on a folder of write_coco.py, and scores it on the test split.

    python experiments/detection/train_ultralytics.py --data FOLDER --out RUN --minutes 60 --size 320 --batch 8
    python experiments/detection/train_ultralytics.py --data FOLDER --out RUN --minutes 10 --size 96 --set fliplr=0 warmup_epochs=0.2

The settings are the program's own, except those of --set (https://docs.ultralytics.com/usage/cfg); by default it adds up the
gradients of 64 images (nbs). Validation after each epoch chooses the weights; it does not count as training time. FOLDER gets labels
in YOLO's format, RUN gets test_results.json (COCO results) and summary.json. Nothing is downloaded or reported to a server.
Ultralytics is licensed under AGPL-3.0.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import torch
from torch_pictures import Rows, annotation_file, average_precision, category_ids, read_json, result_rows

SMALLEST_SCORE = 0.001  # the program's own for validation
MAX_DETECTIONS = 100  # of an image: COCO's metric reads no more


def write_labels(folder: Path) -> Path:
    """Writes labels/SPLIT/*.txt beside the images, and data.yaml; returns its path."""
    for split in ("train", "val", "test"):
        content = read_json(annotation_file(folder, split))
        index_of = {number: index for index, number in enumerate(category_ids(content))}
        lines: dict[int, list[str]] = {image["id"]: [] for image in content["images"]}
        sizes = {image["id"]: (image["width"], image["height"]) for image in content["images"]}
        for annotation in content["annotations"]:
            x, y, w, h = annotation["bbox"]
            width, height = sizes[annotation["image_id"]]
            box = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
            lines[annotation["image_id"]].append(" ".join([str(index_of[annotation["category_id"]]), *(f"{value:.7g}" for value in box)]))
        for image in content["images"]:
            path = (folder / image["file_name"].replace("images/", "labels/", 1)).with_suffix(".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(lines[image["id"]]))
    names = {index: category["name"] for index, category in enumerate(sorted(content["categories"], key=lambda category: category["id"]))}
    path = folder / "data.yaml"  # JSON is YAML
    path.write_text(json.dumps({"path": str(folder.resolve()), "train": "images/train", "val": "images/val", "names": names}))
    return path


def train(options: argparse.Namespace, data: Path) -> tuple[Any, dict[str, Any]]:
    """Trains for `options.minutes`; returns the best model on the validation split, and a summary."""
    from ultralytics import YOLO, settings

    settings.update({"sync": False})
    model = YOLO(options.model)
    began = {"validation": 0.0}
    counts = {"batches": 0, "epochs": 0, "seconds": 0.0}

    def begin_validation(_: Any) -> None:
        began["validation"] = time.time()

    def end_validation(_: Any) -> None:  # the clock of the time limit stands still during validation
        model.trainer.train_time_start += time.time() - began["validation"]

    def count_batch(trainer: Any) -> None:
        counts.update(batches=counts["batches"] + 1, epochs=trainer.epoch + 1, seconds=round(time.time() - trainer.train_time_start, 1))

    def report_epoch(trainer: Any) -> None:
        values = {name: round(float(value), 4) for name, value in trainer.metrics.items() if "mAP" in name}
        print(f"epoch {counts['epochs']}, batch {counts['batches']}, {counts['seconds']:.0f} s: {values}", flush=True)

    model.add_callback("on_val_start", begin_validation)
    model.add_callback("on_val_end", end_validation)
    model.add_callback("on_train_batch_start", count_batch)
    model.add_callback("on_fit_epoch_end", report_epoch)
    chosen = dict(entry.split("=", 1) for entry in options.set)
    values = {name: json.loads(value) if value[:1] in "0123456789-tf" else value for name, value in chosen.items()}
    model.train(
        data=str(data), imgsz=options.size, time=options.minutes / 60, batch=options.batch, workers=options.workers, seed=options.seed,
        device="cpu", pretrained=False, amp=False, plots=False, verbose=False, cache="ram", patience=0,
        project=str(options.out.resolve()), name="ultralytics", exist_ok=True, **values,
    )  # fmt: skip
    summary = {"parameters": sum(parameter.numel() for parameter in model.trainer.model.parameters()), **counts}
    return YOLO(model.trainer.best if model.trainer.best.exists() else model.trainer.last), summary


def detect(model: Any, folder: Path, options: argparse.Namespace) -> Rows:
    """Returns COCO results of the test split."""
    content = read_json(annotation_file(folder, "test"))
    categories = category_ids(content)
    rows: Rows = []
    for image in content["images"]:  # one by one, as batches would need equal shapes
        (found,) = model.predict(
            str(folder / image["file_name"]), imgsz=options.size, conf=SMALLEST_SCORE, max_det=MAX_DETECTIONS, device="cpu", verbose=False
        )
        labels = [int(label) + 1 for label in found.boxes.cls]
        rows += result_rows(image["id"], found.boxes.xyxy, found.boxes.conf.tolist(), labels, categories)
    return rows


def main() -> None:
    """Trains and scores as the command line describes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help="a folder of write_coco.py; labels in YOLO's format are added")
    parser.add_argument("--out", required=True, type=Path, help="the folder for the results")
    parser.add_argument("--model", default="yolo11n.yaml", help="an architecture, such as yolov8n.yaml (default: yolo11n.yaml)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of training, without validation (default: 10)")
    parser.add_argument("--size", type=int, default=320, help="imgsz: sides of the square input (default: 320)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare batches (default: 0, the training process)")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="settings of Ultralytics, such as fliplr=0")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    os.environ["YOLO_CONFIG_DIR"] = str(options.out.resolve())
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    torch.set_num_threads(options.threads)
    data = write_labels(options.data)
    model, summary = train(options, data)
    rows = detect(model, options.data, options)
    (options.out / "test_results.json").write_text(json.dumps(rows))
    summary["test"] = average_precision(annotation_file(options.data, "test"), rows)
    summary["options"] = {name: str(value) for name, value in vars(options).items()}
    (options.out / "summary.json").write_text(json.dumps(summary, indent=1))
    print(json.dumps({key: summary[key] for key in ("parameters", "batches", "epochs", "seconds", "test")}))


if __name__ == "__main__":
    main()
