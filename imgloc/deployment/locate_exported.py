"""Locates objects in images with an exported model, without imgloc and JAX: NumPy, Pillow and onnxruntime (or iree-base-runtime) suffice.

    python locate_exported.py model.onnx photo.jpg another.png

It reads MODEL and MODEL.json, which `imgloc export` has written, and prints what `imgloc locate` prints: a JSON object for each image.
Exit codes: 0 a prediction for each image; 1 some images failed; 2 no model. This file can be copied.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

FORMAT = 1
BATCH = 32  # images that are predicted together
MAX_PIXELS = 2**25  # larger images are refused
AREA_FACTOR = 2  # by which a side shrinks before areas are averaged
TASKS = ("classify", "localize", "read_sequence", "detect")
Run = Callable[[np.ndarray], dict[str, np.ndarray]]  # uint8 images (b, h, w, c) -> outputs
# The key "location" of an ONNX entry: tag 1 and length 8, each as the shortest varint or as a longer one, which parsers accept too.
EXTERNAL = re.compile(rb"(?:\n|\x8a\x80{0,8}[\x00-\x7f])(?:\x08|\x88\x80{0,8}\x00)location")
NATIVE = "is machine code, which is executed as it is; if you trust its origin, allow it with --allow-native-code"


class ModelError(Exception):
    """A model that cannot be used, with a message of one line."""


def read_model(path: Path) -> tuple[bytes, dict[str, Any]]:
    """Returns the content of a model file and its description. Raises ModelError where they are damaged or do not belong together."""
    try:
        content = path.read_bytes()
        described = json.loads(path.with_name(path.name + ".json").read_bytes())
    except OSError as error:
        raise ModelError(f"cannot read '{error.filename}': {error.strerror}; copy the model and its .json again") from None
    except (ValueError, RecursionError):
        described = None
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise ModelError(f"'{path}.json' is damaged, or does not describe a model of format {FORMAT}; export the model again")
    if described.get("sha256") != hashlib.sha256(content).hexdigest():
        raise ModelError(f"'{path}' is damaged, or is not the file that '{path.name}.json' describes; export the model again")
    if key := _invalid_key(described):
        raise ModelError(f"'{path}.json' has no valid '{key}'; export the model again")
    return content, described


def _invalid_key(described: dict[str, Any]) -> str:
    """Returns the first key of a description that is missing or has a value of another type, "" if there is none."""
    given, classes = described.get("input"), described.get("classes")
    calibration, details = described.get("calibration"), described.get("details")
    valid = {
        "batch": _is_count(described.get("batch"), 0),
        "task": isinstance(described.get("task"), str),
        "classes": isinstance(classes, list) and all(isinstance(each, str) for each in classes),
        "input": isinstance(given, dict) and isinstance(given.get("resize"), str)
        and all(_is_count(given.get(key), 1) for key in ("height", "width", "channels")),
        "calibration": isinstance(calibration, dict) and all(isinstance(each, (int, float)) for each in calibration.values()),
        "details": isinstance(details, dict) and (described.get("kind") != "iree" or isinstance(details.get("outputs"), list)),
    }  # fmt: skip
    return next((key for key, is_valid in valid.items() if not is_valid), "")


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= 2**16


def open_onnx(content: bytes) -> Run:
    """A function that runs an ONNX model. Raises ModelError for one that onnxruntime refuses."""
    import onnxruntime

    if EXTERNAL.search(content):  # weights in another file, which could be any file
        raise ModelError("the model reads data from other files; only models in a single file are run")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelError(f"onnxruntime cannot read the model: {_line(error)}") from None
    names, given = [output.name for output in session.get_outputs()], session.get_inputs()[0].name
    return lambda images: dict(zip(names, session.run(names, {given: images}), strict=True))


def open_iree(content: bytes, names: Sequence[str]) -> Run:
    """A function that runs a module of IREE, which is machine code. Raises ModelError for one that the runtime refuses."""
    from iree import runtime

    try:
        instance = runtime.Config("local-task")
        main = runtime.load_vm_module(runtime.VmModule.copy_buffer(instance.vm_instance, content), instance)["main"]
    except Exception as error:
        raise ModelError(f"the runtime of IREE cannot read the module: {_line(error)}") from None

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        found = main(np.ascontiguousarray(images))
        return {name: each.to_host() for name, each in zip(names, found if isinstance(found, (list, tuple)) else [found], strict=True)}

    return run


def in_batches(run: Run, batch: int) -> Run:
    """The function for any number of images, of one for a fixed batch; 0 stands for a function that takes any number."""

    def padded(images: np.ndarray) -> dict[str, np.ndarray]:
        filled = np.concatenate([images, np.zeros((-len(images) % batch, *images.shape[1:]), images.dtype)])
        found = [run(filled[i : i + batch]) for i in range(0, len(filled), batch)]
        return {name: np.concatenate([each[name] for each in found])[: len(images)] for name in found[0]}

    return padded if batch else run


def open_model(path: Path, *, allow_native_code: bool = False) -> tuple[Run, dict[str, Any]]:
    """A function that runs a model file, and its description. Raises ModelError for a file that cannot be used."""
    content, described = read_model(path)
    if (kind := described.get("kind")) not in ("onnx", "iree") or (kind == "iree" and not allow_native_code):
        raise ModelError(f"'{path}' {NATIVE if kind == 'iree' else f'is of the kind {kind!r}; possible: onnx, iree'}")
    run = open_onnx(content) if kind == "onnx" else open_iree(content, described["details"]["outputs"])
    return in_batches(run, described["batch"]), described


def read_image(path: str, channels: int) -> tuple[np.ndarray, int]:
    """The upright pixels (h, w, channels) of an image file, and its EXIF orientation."""
    with Image.open(path) as opened:
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"it has more than {MAX_PIXELS:,} pixels")
        turned = opened.getexif().get(0x0112, 1) if opened.format == "TIFF" else 1  # by Pillow itself
        opened.load()
        orientation = opened.getexif().get(0x0112, 1) if turned == 1 else 1
        image: Image.Image = opened
        if image.mode.startswith("I;16"):
            image = Image.fromarray(((np.minimum(np.asarray(image).astype(np.uint32), 65535) + 128) // 257).astype(np.uint8))
        if image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
        rgb = image.convert("RGB")
        pixels = np.asarray(rgb.convert("L"))[..., None] if channels == 1 else np.asarray(rgb)
    pixels = pixels[:, ::-1] if orientation in (2, 3, 7, 8) else pixels
    pixels = pixels[::-1] if orientation in (3, 4, 6, 7) else pixels
    return np.ascontiguousarray(pixels.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else pixels), max(orientation, turned)


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image (h, w, c) at another size: means of areas along a side that shrinks to half or less, bilinear otherwise; as in OpenCV."""
    sides = [(image.shape[0], height), (image.shape[1], width)]
    if any(AREA_FACTOR * new <= old for old, new in sides):
        values = image.astype(np.float32)
        for axis, (old, new) in enumerate(sides):
            if AREA_FACTOR * new <= old:
                edges, pixels = np.arange(new + 1) * (old / new), np.arange(old)
                inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
                weights = (np.maximum(inside, 0) / (old / new)).astype(np.float32)
                values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
        image = (np.floor(values + 0.5) if all(old == 2 * new for old, new in sides) else np.rint(values)).clip(0, 255).astype(np.uint8)
    if image.shape[:2] == (height, width):
        return image
    sides = [(image.shape[0], height), (image.shape[1], width)]
    places = [((np.arange(new) + 0.5) * (old / new) - 0.5).astype(np.float32) for old, new in sides]
    (y0, wy), (x0, wx) = ((np.floor(p).astype(np.int64), np.rint((p - np.floor(p)) * np.float32(2048)).astype(np.int64)) for p in places)
    y1, x1 = y0 + 1, x0 + 1
    wx = np.where((x0 < 0) | (x1 >= image.shape[1]), 0, wx)
    (x0, x1), (y0, y1) = ((a.clip(0, side - 1), b.clip(0, side - 1)) for a, b, side in ((x0, x1, image.shape[1]), (y0, y1, image.shape[0])))
    across = image[:, x0].astype(np.int64) * (2048 - wx)[:, None] + image[:, x1].astype(np.int64) * wx[:, None]
    low, high = (across[y0] >> 4) * (2048 - wy)[:, None, None], (across[y1] >> 4) * wy[:, None, None]
    return np.asarray((((low >> 16) + (high >> 16) + 2) >> 2).clip(0, 255), np.uint8)


def to_input(image: np.ndarray, given: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The input of the model for an image, and the box xyxy in [0, 1] of the input that shows the image."""
    height, width = given["height"], given["width"]
    if given["resize"] == "stretch":
        return resized(image, height, width), np.array([0.0, 0.0, 1.0, 1.0])
    scale = min(height / image.shape[0], width / image.shape[1])
    inner_h, inner_w = min(max(1, round(image.shape[0] * scale)), height), min(max(1, round(image.shape[1] * scale)), width)
    top, left, canvas = (height - inner_h) // 2, (width - inner_w) // 2, np.zeros((height, width, image.shape[2]), np.uint8)
    canvas[top : top + inner_h, left : left + inner_w] = resized(image, inner_h, inner_w)
    return canvas, np.array([left / width, top / height, (left + inner_w) / width, (top + inner_h) / height])


def answers(outputs: dict[str, np.ndarray], described: dict[str, Any], least: float) -> Iterator[list[tuple[str, float, Any]] | None]:
    """Yields the objects of each image, None where an output is not finite.

    An object is its class, its score, and its box xyxy in [0, 1] of the input, or None for a task without boxes.
    """
    classes, task = described["classes"], described["task"]
    for i in range(len(next(iter(outputs.values())))):
        own = {name: array[i].astype(np.float64) for name, array in outputs.items()}
        if not all(np.isfinite(array).all() for array in own.values()):
            yield None
        elif task == "detect":
            order = [k for k in np.argsort(-own["scores"], kind="stable") if own["scores"][k] > 0 and own["scores"][k] >= least]
            yield [(classes[int(own["labels"][k])], float(own["scores"][k]), own["boxes"][k]) for k in order]
        else:
            logits = np.atleast_2d(own["sequence" if task == "read_sequence" else "logits"])
            shares = np.exp(logits - logits.max(-1, keepdims=True))
            best = (shares / shares.sum(-1, keepdims=True)).max(-1)
            label = " ".join(classes[k] for k in shares.argmax(-1))
            yield [(label, math.prod(map(float, best)), own["box"] if task == "localize" else None)]


def placed(box: np.ndarray | None, content: np.ndarray, upright: tuple[int, ...], orientation: int) -> dict[str, Any]:
    """A box on the input in pixels of the image as it is stored and, if it is turned, upright. `upright` is its height and width."""
    if box is None:
        return {"box": None} | ({"box_upright": None} if orientation != 1 else {})
    x0, y0, x1, y1 = ((box - np.tile(content[:2], 2)) / np.tile(content[2:] - content[:2], 2)).clip(0, 1) * np.array([*upright[::-1]] * 2)
    seen = [round(float(edge), 3) for edge in (x0, y0, x1, y1)]
    height, width = upright[::-1] if orientation >= 5 else upright
    x0, y0, x1, y1 = (y0, x0, y1, x1) if orientation >= 5 else (x0, y0, x1, y1)
    x0, x1 = (width - x1, width - x0) if orientation in (2, 3, 7, 8) else (x0, x1)
    y0, y1 = (height - y1, height - y0) if orientation in (3, 4, 6, 7) else (y0, y1)
    return {"box": [round(float(edge), 3) for edge in (x0, y0, x1, y1)]} | ({"box_upright": seen} if orientation != 1 else {})


def locate(path: Path, images: Sequence[str], *, score: float | None = None, allow_native_code: bool = False) -> Iterator[dict[str, Any]]:
    """A line for each image file. Raises ModelError for a model that cannot be used."""
    run, described = open_model(path, allow_native_code=allow_native_code)
    if described["task"] not in TASKS or described["input"]["resize"] not in ("stretch", "letterbox"):
        raise ModelError(f"the task '{described['task']}' or its input needs imgloc; run: imgloc evaluate RUN --predictor {path}")
    least = described["calibration"].get("score_threshold", 0.0) if score is None else score
    for start in range(0, len(images), BATCH):
        lines = [_prepared(name, described["input"]) for name in images[start : start + BATCH]]
        ready = [each[0] for _, each in lines if each]  # inputs
        found = answers(run(np.stack(ready)), described, least) if ready else iter(())
        for line, each in lines:
            yield line | _answer(next(found), described["task"] == "detect", least, *each[1:]) if each else line


def _prepared(name: str, given: dict[str, Any]) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """The line of an image file, and its input, content, upright size and orientation, or nothing where it cannot be read."""
    try:
        pixels, orientation = read_image(name, given["channels"])
        return {"path": name}, (*to_input(pixels, given), pixels.shape[:2], orientation)
    except Exception as error:
        return {"path": name, "error": f"cannot read {name}: {_line(error)}"}, ()


def _answer(objects: Any, several: bool, least: float, content: Any, size: Any, orientation: int) -> dict[str, Any]:
    """Returns the answer of a line, from the objects of an image."""
    if objects is None:
        return {"error": "the output of the model contains NaN or infinity"}
    turned = {"orientation": orientation} if orientation != 1 else {}
    listed = [{"class": label, "score": round(score, 6)} | placed(box, content, size, orientation) for label, score, box in objects]
    listed = [each for each in listed if not several or (each["box"][0] < each["box"][2] and each["box"][1] < each["box"][3])]
    return ({"objects": listed, "score_threshold": least} if several else listed[0]) | turned


def _line(error: BaseException) -> str:
    """The message of an error in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Locate objects in images with an exported model.")
    parser.add_argument("model", type=Path, help="a file that imgloc export has written, beside its .json")
    parser.add_argument("images", nargs="+", help="image files")
    parser.add_argument("--score", type=float, help="the lowest score of an object (task detect)")
    parser.add_argument("--allow-native-code", action="store_true", help="run a module of IREE, which is machine code")
    given, failed = vars(parser.parse_args()), False
    try:
        for line in locate(given.pop("model"), **given):
            failed = failed or "error" in line
            print(json.dumps(line), flush=True)
    except (ModelError, ImportError) as error:
        print(_line(error), file=sys.stderr)
        sys.exit(2)
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
