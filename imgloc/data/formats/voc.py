"""Pascal VOC: an XML file an image (Everingham et al., 2010, IJCV 88; http://host.robots.ox.ac.uk/pascal/VOC/voc2012/devkit_doc.pdf).

In any folders: VOC's own Annotations/, JPEGImages/ and ImageSets/Main/{train,val,test}.txt, several years side by side, or what
annotation tools leave: annotations/ and images/, or all files together, with folders train/, valid/, test/ for splits.

VOC itself counts pixels from 1, the last one included. LabelImg, and most tools since, write the edges that were drawn, in
the same fields. By default a file is taken as VOC's own where its <source> names Pascal VOC, as edges otherwise.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imgloc import files
from imgloc.data.annotated import assemble
from imgloc.data.annotated.annotations import Annotated, Annotation, Fault
from imgloc.data.annotated.listing import SPLIT_NAMES, Listing, list_folder, split_of_folders

LARGEST = 2**24  # bytes of a file: one of 100,000 boxes
DEEPEST = 64  # elements inside one another
CORNERS = ("xmin", "ymin", "xmax", "ymax")
IMAGE_FOLDERS: tuple[list[str], ...] = (["images"], ["JPEGImages"], ["img"], ["imgs"], [])
ANNOTATION_FOLDERS = ("annotations", "annotation", "xml", "xmls", "labels")


def recognise(folder: Path | Listing) -> bool:
    """Whether there are XML files that begin as VOC's do."""
    listing = list_folder(folder)
    return any("<annotation" in listing.head(name, 1024) for name in listing.ending(".xml")[:10])


def read(folder: Path | Listing, *, convention: str = "") -> Annotated:
    """All XML files of a folder; boxes in pixels, with continuous edges.

    `convention` says what the files' numbers mean: inclusive_from_1, inclusive_from_0, edges, or "" (see above). Images that the
    lists of ImageSets leave out have no split. Classes are in alphabetical order. Raises UserError for no such folder.
    """
    if convention:
        assemble.from_convention(assemble.box_array([]), convention)
    listing = list_folder(folder)
    faults = list(listing.faults)
    splits = _image_sets(listing, faults)
    entries = []
    for name in listing.ending(".xml"):
        try:
            root = _parsed(listing.read_text(name, LARGEST))
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, str(error)))
            continue
        if root.tag == "annotation":
            entries += _annotation(root, name, listing, convention, splits, faults)
    classes = sorted({label for entry in entries for label in entry.names if label})
    return assemble.assembled("voc", classes, entries, faults)


def _parsed(text: str) -> ET.Element:
    """The root of an XML text. Raises ValueError where it is none, or declares a document type or entities."""
    if "<!doctype" in text.lower() or "<!entity" in text.lower():
        raise ValueError("it declares a document type or entities, which no annotation needs; it is not parsed")
    parser: Any = ET.XMLPullParser(events=("start", "end"))
    depth = 0
    root: ET.Element | None = None
    try:
        for start in range(0, len(text), 2**16):  # in pieces: depth is seen before the tree is built
            parser.feed(text[start : start + 2**16])
            for event, element in parser.read_events():
                root = element if root is None else root
                depth += 1 if event == "start" else -1
                if depth > DEEPEST:
                    raise ValueError(f"its elements are nested more than {DEEPEST} deep")
        parser.close()
    except ET.ParseError as error:
        raise ValueError(f"it is no XML: {error}") from error
    if root is None:
        raise ValueError("the file is empty")
    return root


def _annotation(
    root: ET.Element, name: str, listing: Listing, convention: str, splits: Mapping[tuple[str, str], str], faults: list[Fault]
) -> list[Annotation]:
    """The annotation of one file, none where it names no image of the folder."""
    folder, _, last = name.rpartition("/")
    stem = last.rpartition(".")[0]
    near = _near(folder)
    said = _text(root, "filename") or stem
    file = listing.find(said, near)
    if file is None:
        faults.append(Fault("outside_folder", name, f"<filename> {assemble.brief(said)} is no file of the data's folder"))
        return []
    if file not in listing.files:  # renamed since: the image that is called as the annotation is
        renamed = listing.find(stem, near)
        file = renamed if renamed in listing.files and renamed is not None else file
    boxes, names = [], []
    for number, element in enumerate(root.findall("object"), start=1):
        try:
            label, corners = assemble.class_name(_text(element, "name")), _corners(element)
            boxes.append(corners)
            names.append(label)
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, f"object {number}: {error}"))
    meant = convention or ("inclusive_from_1" if _is_vocs_own(root) else "edges")
    entry = Annotation(
        file=file,
        boxes_nx4=assemble.from_convention(assemble.box_array(boxes), meant),
        names=tuple(names),
        width=assemble.side(_text(root, "size/width")),
        height=assemble.side(_text(root, "size/height")),
        split=splits.get(_key(name)) or splits.get((_key(name)[0], stem)) or split_of_folders(name) or split_of_folders(file),
        where=name,
    )
    return [entry]


def _corners(element: ET.Element) -> list[float]:
    box = element.find("bndbox")
    if box is None:
        raise ValueError("it has no <bndbox>")
    return [assemble.number(_text(box, corner)) for corner in CORNERS]


def _text(element: ET.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _is_vocs_own(root: ET.Element) -> bool:
    source = f"{_text(root, 'source/annotation')} {_text(root, 'source/database')}".lower()
    return "pascal voc" in source or "the voc20" in source


def _near(folder: str) -> list[str]:
    """Where the images of a folder of annotations may lie: a/annotations/b has a/images/b, a/images, a/b, a and itself."""
    parts = folder.split("/")
    for place in reversed(range(len(parts))):
        if parts[place].lower() in ANNOTATION_FOLDERS:
            ways = [[*parts[:place], *images, *below] for below in (parts[place + 1 :], []) for images in IMAGE_FOLDERS]
            return list(dict.fromkeys("/".join(way) for way in [*ways, parts]))
    return [folder]


def _key(name: str) -> tuple[str, str]:
    """The folder that holds VOC's own Annotations and ImageSets (VOCdevkit/VOC2007), and what its lists call the image of a file."""
    parts = name.split("/")
    for own in ("ImageSets", "Annotations"):
        if own in parts[:-1]:
            place = parts.index(own)
            return "/".join(parts[:place]), "/".join(parts[place + 1 :]).rpartition(".")[0]
    return "", name.rpartition(".")[0]


def _image_sets(listing: Listing, faults: list[Fault]) -> dict[tuple[str, str], str]:
    """The split of images by the folder above ImageSets and their stem: of train.txt, val.txt and test.txt, or of trainval.txt."""
    found: dict[tuple[str, str], str] = {}
    lists = [name for name in listing.ending(".txt") if "ImageSets" in name.split("/")[:-1]]
    main = [name for name in lists if "Main" in name.split("/")] or lists
    for name in sorted(main, key=lambda name: name.endswith("/trainval.txt")):  # the union comes last: it adds what is in neither
        stem = name.rpartition("/")[2].removesuffix(".txt")
        split = "train" if stem == "trainval" else SPLIT_NAMES.get(stem.lower(), "")
        if not split:
            continue  # a class's own list
        try:
            lines = listing.read_text(name).splitlines()
        except ValueError as error:
            faults.append(Fault("bad_annotation", name, str(error)))
            continue
        for line in lines:
            image = line.split()[0] if line.strip() else ""
            first = found.setdefault((_key(name)[0], image), split)
            if image and first != split and stem != "trainval":
                what = f"{assemble.brief(image)} is in {first} and in {split}; it counts for {first}"
                faults.append(Fault("duplicate_image", name, what))
    return found


def write(annotated: Annotated, folder: Path, *, convention: str = "edges") -> None:
    """Annotations as VOC: Annotations/, and ImageSets/Main/ where splits are said. Images are not copied: they belong into JPEGImages/.

    Numbers are rounded to whole pixels of `convention`; where they are VOC's own (inclusive_from_1), so says each file. Names of
    folders are part of a file's name: a/b.jpg gets Annotations/a/b.xml. Raises UserError for boxes in [0, 1] of an unknown size,
    and for a file outside the folder.
    """
    lists: dict[str, list[str]] = {}
    for entry in annotated.images:
        file = assemble.file_to_write(entry)
        stem = file.rpartition(".")[0] if "." in file.rpartition("/")[2] else file
        root = ET.Element("annotation")
        ET.SubElement(root, "folder").text = "JPEGImages"
        ET.SubElement(root, "filename").text = file
        ET.SubElement(ET.SubElement(root, "source"), "annotation").text = "PASCAL VOC" if convention == "inclusive_from_1" else "Unknown"
        size = ET.SubElement(root, "size")
        for side, length in (("width", entry.width), ("height", entry.height), ("depth", 3)):
            ET.SubElement(size, side).text = str(length)
        boxes = np.rint(assemble.to_convention(assemble.in_pixels(entry), convention)).astype(np.int64)
        for box, label in zip(boxes.tolist(), entry.names, strict=True):
            element = ET.SubElement(root, "object")
            ET.SubElement(element, "name").text = label
            bounds = ET.SubElement(element, "bndbox")
            for corner, value in zip(CORNERS, box, strict=True):
                ET.SubElement(bounds, corner).text = str(value)
        ET.indent(root)
        files.write_text(folder / "Annotations" / f"{stem}.xml", ET.tostring(root, encoding="unicode") + "\n")
        if entry.split:
            lists.setdefault({"validation": "val"}.get(entry.split, entry.split), []).append(stem)
    for split, stems in lists.items():
        files.write_text(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(f"{stem}\n" for stem in stems))
