"""Folders as annotation tools and public data sets lay them out, written from annotations that are true, without imgloc's code.

A function of WRITERS writes the annotation files of images that are in the folder already; their splits are those of the annotations.
`placed` moves an annotation's file to where the format needs it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from imgloc.data.annotated.annotations import Annotation

SHORT = {"train": "train", "validation": "valid", "test": "test", "": ""}
BY_FOLDER = ("labelme", "mot", "huggingface")  # formats without any other place for a split


def placed(entry: Annotation, form: str) -> Annotation:
    """Returns the annotation with the file at the place that the format needs."""
    split = SHORT[entry.split]
    if form == "mot":
        number = int(re.sub(r"\D", "", entry.file)) + 1
        return dataclasses.replace(entry, file=f"{split}/seq/img1/{number:06d}.jpg".lstrip("/"))
    return dataclasses.replace(entry, file=f"{split}/{entry.file}".lstrip("/")) if form in BY_FOLDER else entry


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())


def write_json(path: Path, value: Any) -> None:
    write(path, json.dumps(value, ensure_ascii=False))


def of_splits(entries: Sequence[Annotation]) -> dict[str, list[Annotation]]:
    splits: dict[str, list[Annotation]] = {}
    for entry in entries:
        splits.setdefault(SHORT[entry.split], []).append(entry)
    return splits


def objects(entry: Annotation) -> list[tuple[str, float, float, float, float]]:
    """Class, left, top, right and bottom of each object."""
    return [(name, *box) for name, box in zip(entry.names, entry.boxes_nx4.tolist(), strict=True)]


def classes_of(entries: Sequence[Annotation]) -> list[str]:
    return sorted({name for entry in entries for name in entry.names})


def write_labelme(entries: Sequence[Annotation], folder: Path, *, apart: bool = False) -> None:
    """A file beside each image, or in a folder labels/ beside that of the image, with a path in Windows' form."""
    for entry in entries:
        above, _, name = entry.file.rpartition("/")
        # Neither the first corner nor the order of corners means anything.
        shapes = [
            {"label": label, "points": [[x1, y0], [x0, y1]] if i % 2 else [[x0, y0], [x1, y1]], "group_id": None,
             "shape_type": "rectangle", "flags": {}}
            for i, (label, x0, y0, x1, y1) in enumerate(objects(entry))
        ]  # fmt: skip
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": name, "imageData": None}
        content |= {"imageHeight": entry.height or None, "imageWidth": entry.width or None}
        target = f"{above}/{name.rpartition('.')[0]}.json".lstrip("/")
        if apart:
            content["imagePath"] = f"..\\{above.rpartition('/')[2]}\\{name}" if above else f"..\\{name}"
            target = "/".join(filter(None, (above.rpartition("/")[0], "labels", f"{name.rpartition('.')[0]}.json")))
        write_json(folder / target, content)


def write_createml(entries: Sequence[Annotation], folder: Path, *, convention: str = "center", old: bool = False) -> None:
    for split, of_split in of_splits(entries).items():
        images = []
        for entry in of_split:
            annotations = []
            for label, x0, y0, x1, y1 in objects(entry):
                w, h = (entry.width, entry.height) if convention.startswith("normalized") else (1, 1)
                x, y = ((x0 + x1) / 2, (y0 + y1) / 2) if convention.endswith("center") else (x0, y0)
                coordinates = {"x": x / w, "y": y / h, "width": (x1 - x0) / w, "height": (y1 - y0) / h}
                annotations.append({"label": label, "coordinates": coordinates})
            keys = ("imagefilename", "annotation") if old else ("image", "annotations")
            images.append(dict(zip(keys, (entry.file, annotations), strict=True)))
        write_json(folder / f"{split}{'_' if split else ''}annotations.createml.json", images)


def write_via(entries: Sequence[Annotation], folder: Path, *, version: int = 2, project: bool = False) -> None:
    for split, of_split in of_splits(entries).items():
        images = {}
        for entry in of_split:
            regions = [
                {"shape_attributes": {"name": "rect", "x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0},
                 "region_attributes": {"class": label, "note": "small" if i % 2 else ""}}
                for i, (label, x0, y0, x1, y1) in enumerate(objects(entry))
            ]  # fmt: skip
            found = {str(i): region for i, region in enumerate(regions)} if version == 1 else regions
            images[f"{entry.file}123"] = {"filename": entry.file, "size": 123, "regions": found, "file_attributes": {}}
        settings = {"_via_settings": {"ui": {}}, "_via_img_metadata": images, "_via_attributes": {"region": {}}}
        write_json(folder / f"via_{split}.json", settings if project else images)


def cvat_box(tag: str, box: tuple[str, float, float, float, float], more: str = "") -> str:
    label, x0, y0, x1, y1 = box
    return f'<{tag} {f"label={quoteattr(label)} " if label else ""}{more}xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}" z_order="0"></{tag}>'


def cvat_labels(entries: Sequence[Annotation]) -> str:
    names = classes_of(entries)
    return "".join(f"<label><name>{name}</name><type>bbox</type><attributes></attributes></label>" for name in names)


def write_cvat(entries: Sequence[Annotation], folder: Path) -> None:
    """CVAT for images, of a project with a subset for each split."""
    subset = {"train": "Train", "validation": "Validation", "test": "Test", "": "default"}
    images = [
        f'<image id="{i}" name={quoteattr(entry.file)} subset="{subset[entry.split]}" width="{entry.width}" height="{entry.height}">'
        + "".join(cvat_box("box", box, 'source="manual" occluded="0" ') for box in objects(entry)) + "</image>"
        for i, entry in enumerate(entries)
    ]  # fmt: skip
    meta = f"<meta><project><labels>{cvat_labels(entries)}</labels></project></meta>"
    text = f"<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>"
    write(folder / "annotations.xml", f'<?xml version="1.0" encoding="utf-8"?>\n{text}')


def write_cvat_video(entries: Sequence[Annotation], folder: Path) -> None:
    """CVAT for video, a file beside each folder images/; each object is a track that is outside in the next frame."""
    videos: dict[str, list[Annotation]] = {}
    for entry in entries:
        videos.setdefault(entry.file.rpartition("images/")[0], []).append(entry)
    for above, of_video in videos.items():
        tracks = []
        for entry in of_video:
            frame = int(re.findall("[0-9]+", entry.file)[-1])
            for label, *corners in objects(entry):
                shapes = cvat_box("box", ("", *corners), f'frame="{frame}" outside="0" keyframe="1" ')
                shapes += cvat_box("box", ("", 0, 0, 1, 1), f'frame="{frame + 1}" outside="1" keyframe="1" ')
                tracks.append(f'<track id="{len(tracks)}" label={quoteattr(label)}>{shapes}</track>')
        meta = f"<meta><task><labels>{cvat_labels(entries)}</labels></task></meta>"
        write(folder / above / "annotations.xml", f"<annotations><version>1.1</version>{meta}{''.join(tracks)}</annotations>")


def write_wider_face(entries: Sequence[Annotation], folder: Path) -> None:
    for split, of_split in of_splits(entries).items():
        lines = []
        for entry in of_split:
            lines += [entry.file, str(len(entry.names))]
            lines += [f"{x0:g} {y0:g} {x1 - x0:g} {y1 - y0:g} 0 0 0 0 0 0 " for _, x0, y0, x1, y1 in objects(entry)]
            lines += [] if entry.names else ["0 0 0 0 0 0 0 0 0 0 "]
        name = {"valid": "val"}.get(split, split)
        write(folder / "wider_face_split" / f"wider_face_{name}{'_' if name else ''}bbx_gt.txt", "".join(f"{line}\n" for line in lines))


def write_mot(entries: Sequence[Annotation], folder: Path, *, labels: bool = True) -> None:
    """A sequence for each split; with gt/labels.txt pixels count from 0, without it from 1 and all objects are pedestrians."""
    names = classes_of(entries)
    sequences: dict[str, list[str]] = {}
    for entry in entries:
        lines = sequences.setdefault(entry.file.rpartition("img1/")[0], [])
        frame, first = int(entry.file.rpartition("/")[2].partition(".")[0]), 0 if labels else 1
        for i, (label, x0, y0, x1, y1) in enumerate(objects(entry), start=1):
            number = names.index(label) + 1 if labels else 1
            lines.append(f"{frame},{i},{x0 + first},{y0 + first},{x1 - x0},{y1 - y0},1,{number},0.5\n")
    for sequence, lines in sequences.items():
        write(folder / sequence / "gt/gt.txt", "".join(lines))
        if labels:
            write(folder / sequence / "gt/labels.txt", "".join(f"{name}\n" for name in names))


def hub_rows(entries: Sequence[Annotation], convention: str, *, dicts: bool, names: list[str]) -> list[dict[str, Any]]:
    """The columns of the Hub but for the image; `objects` is a dict of lists or a list of dicts, with numbers of the classes."""
    rows: list[dict[str, Any]] = []
    for entry in entries:
        found = []
        for label, x0, y0, x1, y1 in objects(entry):
            box = {"xywh": (x0, y0, x1 - x0, y1 - y0), "xyxy": (x0, y0, x1, y1), "cxcywh": ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)}
            sides = (entry.width, entry.height) * 2 if convention.startswith("normalized") else (1, 1, 1, 1)
            bbox = [float(value / side) for value, side in zip(box[convention.rpartition("_")[2]], sides, strict=True)]
            found.append({"bbox": bbox, "category": names.index(label)})
        columns = {key: [item[key] for item in found] for key in ("bbox", "category")}
        rows.append({"width": entry.width, "height": entry.height, "objects": found if dicts else columns})
    return rows


def hub_readme(entries: Sequence[Annotation]) -> str:
    names = classes_of(entries)
    listed = "".join(f"            '{i}': {json.dumps(name, ensure_ascii=False)}\n" for i, name in enumerate(names))
    return (
        "---\nlicense: mit\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: objects\n    sequence:\n"
        "    - name: bbox\n      sequence: float32\n      length: 4\n    - name: category\n      dtype:\n        class_label:\n"
        f"          names:\n{listed}---\n# A data set\n"
    )


def write_huggingface(entries: Sequence[Annotation], folder: Path, *, convention: str = "xywh", table: bool = False) -> None:
    """metadata.jsonl or metadata.csv in the folder of each split."""
    write(folder / "README.md", hub_readme(entries))
    tables: dict[str, list[dict[str, Any]]] = {}
    for entry, row in zip(entries, hub_rows(entries, convention, dicts=False, names=classes_of(entries)), strict=True):
        top, _, rest = entry.file.rpartition("/") if not entry.split else entry.file.partition("/")
        tables.setdefault(top, []).append({"file_name": rest, **row})
    for top, rows in tables.items():
        if table:
            text = io.StringIO(newline="")
            sheet = csv.DictWriter(text, ["file_name", "width", "height", "objects"])
            sheet.writeheader()
            sheet.writerows({**row, "objects": json.dumps(row["objects"])} for row in rows)
            write(folder / top / "metadata.csv", text.getvalue())
        else:
            write(folder / top / "metadata.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def write_parquet(
    entries: Sequence[Annotation], folder: Path, *, convention: str = "xywh", dicts: bool = False, features: bool = True, shards: int = 2
) -> dict[str, Annotation]:
    """Shards of each split with the bytes of the images, which are removed from the folder. Returns each annotation by its image's name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = classes_of(entries)
    label = {"names": names, "_type": "ClassLabel"}
    bbox = {"feature": {"dtype": "float32", "_type": "Value"}, "length": 4, "_type": "Sequence"}
    described = {"image": {"_type": "Image"}, "objects": {"feature": {"bbox": bbox, "category": label}, "_type": "Sequence"}}
    metadata = {"huggingface": json.dumps({"info": {"features": described}})} if features else {}
    found = {}
    for split, of_split in of_splits(entries).items():
        word = {"valid": "validation", "": "train"}.get(split, split)
        for shard in range(shards):
            part = of_split[shard::shards]
            rows = [
                {"image": {"bytes": (folder / entry.file).read_bytes(), "path": entry.file}, **row}
                for entry, row in zip(part, hub_rows(part, convention, dicts=dicts, names=names), strict=True)
            ]
            item = pa.struct([("bbox", pa.list_(pa.float32())), ("category", pa.int64())])
            lists = pa.struct([("bbox", pa.list_(pa.list_(pa.float32()))), ("category", pa.list_(pa.int64()))])
            schema = pa.schema([
                ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])), ("width", pa.int64()), ("height", pa.int64()),
                ("objects", pa.list_(item) if dicts else lists),
            ], metadata=metadata)  # fmt: skip
            name = f"data/{word}-{shard:05d}-of-{shards:05d}.parquet"
            (folder / "data").mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / name, row_group_size=2)
            found |= {f"{name}/image/{i:08d}": entry for i, entry in enumerate(part)}
    for entry in entries:
        (folder / entry.file).unlink()
    if not features:
        write(folder / "README.md", hub_readme(entries))
    return found


WRITERS: dict[str, Callable[[Sequence[Annotation], Path], Any]] = {
    "labelme": write_labelme, "createml": write_createml, "via": write_via, "cvat": write_cvat, "wider_face": write_wider_face,
    "mot": write_mot, "huggingface": write_huggingface,
}  # fmt: skip
