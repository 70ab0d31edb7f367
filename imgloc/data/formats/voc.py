"""Pascal VOC: one XML file for each image (Everingham et al., 2010, IJCV 88;
http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf).

The files may be in any folders: VOC's own Annotations/, JPEGImages/ and ImageSets/Main/{train,val,test}.txt, several years side
by side, or the layouts of annotation tools: annotations/ and images/, or all files together, with folders train/, valid/, test/.
The image of a.xml is a.jpg, or the image that <filename> names if a.jpg does not exist (as in LabelImg and torchvision).

VOC counts pixels from 1 and includes the last one (inclusive_from_1). LabelImg and most later tools write continuous edges to the
same fields (edges), and Roboflow edges that are counted from 1 (edges_from_1). By default the <source> of a file decides.
Objects with <difficult> 1 are objects like others for training; scores of detection leave them out.
"""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from imgloc import files
from imgloc.data.annotated import assemble, foreign
from imgloc.data.annotated.annotations import AnnotatedFolder, Annotation, Fault
from imgloc.data.annotated.image_lists import ORDER, splits_of_lists
from imgloc.data.annotated.listing import IMAGE_SUFFIXES, Listing, list_folder
from imgloc.data.annotated.splits import SPLIT_NAMES

MAX_BYTES = 2**24  # of a file, enough for 100,000 boxes
MAX_DEPTH = 64  # of nested elements
_FLAG = re.compile(r"\s+-?[01]$")  # of a class, behind the name of an image
CORNERS = ("xmin", "ymin", "xmax", "ymax")
IMAGE_FOLDERS: tuple[list[str], ...] = (["images"], ["JPEGImages"], ["img"], ["imgs"], [])
ANNOTATION_FOLDERS = ("annotations", "annotation", "xml", "xmls", "labels")


def recognise(folder: Path | Listing) -> bool:
    """Returns whether there are XML files with VOC's root element."""
    listing = list_folder(folder)
    return any("<annotation" in listing.head(name, 1024) for name in listing.with_suffix(".xml")[:10])


def read(folder: Path | Listing, *, convention: str = "") -> AnnotatedFolder:
    """Reads all XML files of a folder; boxes are in pixels with continuous edges, classes in alphabetical order.

    `convention` is the meaning of the numbers: inclusive_from_1, inclusive_from_0, edges_from_1, edges, or "" (see above). Images
    that no list of ImageSets contains have no split. Raises UserError if the folder does not exist, and for an unknown convention.
    """
    if convention:
        assemble.from_convention(assemble.box_array([]), convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    names = listing.with_suffix(".xml")
    splits = _read_image_sets(listing, {_image_set_key(name) for name in names}, faults)
    lists = {} if splits else splits_of_lists(listing, faults)
    entries = []
    for name in names:
        try:
            root = _parse(assemble.load_text(name, listing, faults, MAX_BYTES))
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, str(error)))
            continue
        if root.tag != "annotation":
            faults += foreign.describe_xml(root, name)
            continue
        entry = _annotation(root, name, listing, convention, faults)
        if entry is not None:
            split = splits.get(_image_set_key(name)) or lists.get(entry.file) or listing.split_of(name) or listing.split_of(entry.file)
            entries.append(dataclasses.replace(entry, split=split))
    classes = sorted({label for entry in entries for label in entry.names if label})
    return assemble.merge_annotations("voc", classes, entries, faults)


def _parse(text: str) -> ET.Element:
    """Returns the root of an XML text. Raises ValueError if it is not XML, or declares a document type or entities."""
    if "<!doctype" in text.lower() or "<!entity" in text.lower():
        raise ValueError("it declares a document type or entities, which annotations do not need; it is not parsed")
    parser: Any = ET.XMLPullParser(events=("start", "end"))
    depth = 0
    root: ET.Element | None = None
    try:
        for start in range(0, len(text), 2**16):  # in pieces, to check the depth before the whole tree is built
            parser.feed(text[start : start + 2**16])
            for event, element in parser.read_events():
                root = element if root is None else root
                depth += 1 if event == "start" else -1
                if depth > MAX_DEPTH:
                    raise ValueError(f"its elements are nested more than {MAX_DEPTH} deep")
        parser.close()
    except ET.ParseError as error:
        raise ValueError(f"it is not XML: {error}") from error
    if root is None:
        raise ValueError("the file is empty")
    return root


def _annotation(root: ET.Element, name: str, listing: Listing, convention: str, faults: list[Fault]) -> Annotation | None:
    """Returns the annotation of one file, without a split; None if the name of its image leads outside the folder."""
    folder, _, base = name.rpartition("/")
    stem = base.rpartition(".")[0]
    folders = _image_folders(folder)
    filename = _text(root, "filename") or stem
    named, file = listing.find_image(filename, folders), listing.find_image(stem, folders)
    if file not in listing.files:
        file = named
    elif named in listing.files and named != file:
        what = f"<filename> is {assemble.quoted(filename)}, another image than {assemble.quoted(file)}"
        faults.append(Fault("other_filename", name, what))
    if file is None:
        faults.append(assemble.outside_fault(name, filename))
        return None
    boxes, names, difficult = [], [], []
    for number, element in enumerate(root.findall("object"), start=1):
        try:
            label, corners = assemble.parse_class_name(_text(element, "name")), _corners(element)
            boxes.append(corners)
            names.append(label)
            difficult.append(_text(element, "difficult") == "1")
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, f"object {number}: {error}"))
    convention = convention or _convention(root)
    return Annotation(
        file=file,
        boxes_nx4=assemble.from_convention(assemble.box_array(boxes), convention),
        names=tuple(names),
        difficult=tuple(difficult) if any(difficult) else (),
        width=assemble.parse_side(_text(root, "size/width")),
        height=assemble.parse_side(_text(root, "size/height")),
        where=name,
    )


def _corners(element: ET.Element) -> list[float]:
    box = element.find("bndbox")
    if box is None:
        raise ValueError("it has no <bndbox>")
    return [assemble.parse_number(_text(box, corner)) for corner in CORNERS]


def _text(element: ET.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _convention(root: ET.Element) -> str:
    """Returns the meaning of the numbers by the <source> of a file."""
    source = f"{_text(root, 'source/annotation')} {_text(root, 'source/database')}".lower()
    if "roboflow" in source:
        return "edges_from_1"
    return "inclusive_from_1" if "pascal voc" in source or "the voc20" in source else "edges"


def _image_folders(folder: str) -> list[str]:
    """Returns where the images of a folder of annotations may be: for a/annotations/b in a/images/b, a/images, a/b, a and itself."""
    parts = folder.split("/")
    for index in reversed(range(len(parts))):
        if parts[index].lower() in ANNOTATION_FOLDERS:
            paths = [[*parts[:index], *images, *below] for below in (parts[index + 1 :], []) for images in IMAGE_FOLDERS]
            return list(dict.fromkeys("/".join(path) for path in [*paths, parts]))
    return [folder]


def _image_set_key(name: str) -> tuple[str, str]:
    """Returns the folder that holds Annotations and ImageSets (VOCdevkit/VOC2007), and the image's name in the lists there."""
    parts = name.split("/")
    for folder in ("ImageSets", "Annotations"):
        if folder in parts[:-1]:
            index = parts.index(folder)
            return "/".join(parts[:index]), "/".join(parts[index + 1 :]).rpartition(".")[0]
    return "", name.rpartition(".")[0]


def _read_image_sets(listing: Listing, annotated: Collection[tuple[str, str]], faults: list[Fault]) -> dict[tuple[str, str], str]:
    """Returns the split of each annotation that a list in ImageSets contains; keys are those of `_image_set_key`.

    A line is the name of an annotation, with or without the suffix of its image; after a space, lists of classes have a flag.
    """
    stems = {(dataset, image.rpartition("/")[2]): (dataset, image) for dataset, image in annotated}
    splits: dict[tuple[str, str], str] = {}
    lists = [name for name in listing.with_suffix(".txt") if "ImageSets" in name.split("/")[:-1]]
    main = [name for name in lists if "Main" in name.split("/")] or lists

    def order(name: str) -> tuple[bool, int]:
        """Lists of scored images come first, because these are not trained on; trainval comes last, for images in no other list."""
        return name.endswith("/trainval.txt"), ORDER.index(SPLIT_NAMES.get(name.rpartition("/")[2].removesuffix(".txt").lower(), "train"))

    for name in sorted(main, key=order):
        stem = name.rpartition("/")[2].removesuffix(".txt")
        split = "train" if stem == "trainval" else SPLIT_NAMES.get(stem.lower(), "")
        if not split:
            continue  # the list of a class
        dataset, unmatched = _image_set_key(name)[0], []
        for line in filter(None, map(str.strip, assemble.read_text(name, listing, faults).splitlines())):
            words = [line, _FLAG.sub("", line)]
            keys = [(dataset, word) for word in words] + [(dataset, _without_image_suffix(word)) for word in words]
            key = next((key for key in keys if key in annotated), None) or next((stems[key] for key in keys if key in stems), None)
            if key is None:
                unmatched.append(line)
                continue
            first = splits.setdefault(key, split)
            if first != split and stem != "trainval":
                what = f"{assemble.quoted(key[1])} is in {first} and in {split}; it is used for {first}"
                faults.append(Fault("duplicate_image", name, what))
        if unmatched:
            what = f"{len(unmatched):,} of its lines name no annotation, such as {assemble.quoted(unmatched[0])}"
            faults.append(Fault("unmatched_list", name, what))
    return splits


def _without_image_suffix(name: str) -> str:
    return next((name[: -len(suffix)] for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix)), name)


def write(annotated: AnnotatedFolder, folder: Path, *, convention: str = "edges") -> None:
    """Writes Annotations/, and ImageSets/Main/ for images with a split. Images are not copied; they belong in JPEGImages/.

    Numbers are rounded to whole pixels of `convention`; with VOC's own (inclusive_from_1) the <source> of each file names Pascal
    VOC. The annotation of a/b.jpg is Annotations/a/b.xml. Raises UserError for boxes in [0, 1] if the image's size is unknown,
    and for an image outside the folder.
    """
    lists: dict[str, list[str]] = {}
    for entry in annotated.images:
        file = assemble.output_path(entry)
        stem = file.rpartition(".")[0] if "." in file.rpartition("/")[2] else file
        root = ET.Element("annotation")
        ET.SubElement(root, "folder").text = "JPEGImages"
        ET.SubElement(root, "filename").text = file
        ET.SubElement(ET.SubElement(root, "source"), "annotation").text = "PASCAL VOC" if convention == "inclusive_from_1" else "Unknown"
        size = ET.SubElement(root, "size")
        for side, length in (("width", entry.width), ("height", entry.height), ("depth", 3)):
            ET.SubElement(size, side).text = str(length)
        boxes = np.rint(assemble.to_convention(assemble.boxes_in_pixels(entry), convention)).astype(np.int64)
        for box, label, difficult in zip(boxes.tolist(), entry.names, entry.difficult or (False,) * len(boxes), strict=True):
            element = ET.SubElement(root, "object")
            ET.SubElement(element, "name").text = label
            if difficult:
                ET.SubElement(element, "difficult").text = "1"
            bounds = ET.SubElement(element, "bndbox")
            for corner, value in zip(CORNERS, box, strict=True):
                ET.SubElement(bounds, corner).text = str(value)
        ET.indent(root)
        files.write_text(folder / "Annotations" / f"{stem}.xml", ET.tostring(root, encoding="unicode") + "\n")
        if entry.split:
            lists.setdefault({"validation": "val"}.get(entry.split, entry.split), []).append(stem)
    for split, stems in lists.items():
        files.write_text(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{stem}\n" for stem in stems))
