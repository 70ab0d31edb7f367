"""The kinds of faults that data sets have, and what each would do to training or to the metric."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    effect: str  # what it would do
    serious: bool = True  # training or its score would go wrong; else only worth knowing


KINDS = {
    # the files
    "nothing_to_train": Kind("training is refused"),
    "split_as_class": Kind("folders of splits count as classes, and splits are cut anew"),
    "unreadable_image": Kind("the image is skipped"),
    "missing_image": Kind("the annotation is left out"),
    "bad_annotation": Kind("what it says is left out"),
    "outside_folder": Kind("the file is not read, nor is any outside the data's folder"),
    "duplicate_annotation": Kind("the image would count twice; the first is used"),
    "unannotated_image": Kind("the image is left out", serious=False),
    "unboxed_image": Kind("the image has no box; box metrics pass over it", serious=False),
    "duplicate_image": Kind("the same image would be trained on and scored"),
    "shared_group": Kind("what belongs together would be trained on and scored"),
    "repeated_image": Kind("the same image counts twice in one split", serious=False),
    # examples of other sources
    "bad_example": Kind("training stops at it, or learns from what is no picture or no box"),
    "bad_label": Kind("the loss is taken of another class, or is not finite"),
    "duplicate_id": Kind("rows are sorted and compared by id: those of two runs do not pair"),
    # the picture and its annotation
    "size_mismatch": Kind("boxes are scaled by the annotated size; if that is wrong they lie beside their objects"),
    "exif_rotation": Kind("tools disagree whether boxes are of the picture as stored or as shown", serious=False),
    # boxes
    "inverted_box": Kind("the box has no area and is left out"),
    "empty_box": Kind("the box has no area and is left out"),
    "outside_box": Kind("the box is cut at the image's edge"),
    "edge_box": Kind("the box is cut at the image's edge, by a rounding error", serious=False),
    "duplicate_box": Kind("the object counts twice", serious=False),
    "normalised_box": Kind("coordinates in [0, 1] read as pixels make boxes smaller than a pixel: IoU is 0"),
    "pixel_box": Kind("pixels read as coordinates in [0, 1] lie outside the image: the boxes are left out"),
    "xywh_box": Kind("width and height read as the far corner make boxes inverted or too small"),
    "corner_box": Kind("the far corner read as width and height makes boxes too large, up to beyond the image"),
    "middle_box": Kind("a box's middle read as its corner puts it beside its object"),
    "zero_based_box": Kind("pixels counted from 0 read as from 1 shift every box by a pixel"),
    "one_based_box": Kind("pixels counted from 1 read as from 0 shift every box by a pixel"),
    # classes
    "unknown_class": Kind("the box is left out"),
    "class_case": Kind("one class counts as two"),
    "unused_class": Kind("the class has no example to learn from", serious=False),
}
