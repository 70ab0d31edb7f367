"""The kinds of faults that data sets have, and the effect of each on training or on the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Unusable: TypeAlias = Literal["", "image", "box", "data"]


@dataclass(frozen=True)
class Kind:
    """A kind of fault."""

    effect: str  # on training or on the metrics
    serious: bool = True  # whether training or its metrics would be wrong; otherwise the fault is a note
    left_out: bool = False  # whether training leaves the faulty part out, or clips it, and is otherwise right
    unusable: Unusable = ""  # what the fault makes unusable: an annotated image, a box, or the whole data set


KINDS = {
    # files
    "nothing_to_train": Kind("training is refused"),
    "split_as_class": Kind("folders of splits are used as classes, and new splits are drawn"),
    "unreadable_image": Kind("the image is skipped", left_out=True, unusable="image"),
    "missing_image": Kind("the annotation is left out", left_out=True, unusable="image"),
    "bad_file": Kind("nothing in the file is used", unusable="data"),
    "bad_annotation": Kind("this annotation is left out", left_out=True, unusable="box"),
    "outside_folder": Kind("the file is not read; only files inside the data's folder are", left_out=True),
    "foreign_format": Kind("the file is not read", unusable="data"),
    "unmatched_list": Kind("these lines have no effect"),
    "unknown_split": Kind("these images have no split: they are left out, or cut into new splits if no image is for training"),
    "unlisted_image": Kind("images without a split are not used", serious=False),
    "conflicting_names": Kind("boxes may have the classes of other boxes", unusable="data"),
    "unused_column": Kind("every box has the class 'object'"),
    "encoding": Kind("letters other than ASCII may be wrong", serious=False),
    "run_folder": Kind("nothing in it is read", serious=False),
    "group_box": Kind("boxes of groups of objects are not trained on", serious=False),
    "ignored_box": Kind("boxes that the data set marks as ignored are left out", serious=False),
    "unboxed_shape": Kind("shapes without an area, such as points and lines, are left out", serious=False),
    "keypoints": Kind("the box of each line is used, its keypoints are not", serious=False),
    "other_filename": Kind("the image with the name of the annotation file is used", serious=False),
    "duplicate_annotation": Kind("the image would count twice; the first annotation is used", left_out=True),
    "unannotated_image": Kind("the image is left out", serious=False),
    "unboxed_image": Kind("the image has no box and does not count in box metrics", serious=False),
    "duplicate_image": Kind("the same image would be trained on and scored"),
    "shared_group": Kind("images of one group would be trained on and scored"),
    "repeated_image": Kind("the same image counts twice in one split", serious=False),
    # examples of other sources
    "bad_example": Kind("training stops at the example, or learns from an invalid image or box"),
    "bad_label": Kind("the loss is computed for another class, or is not finite"),
    "duplicate_id": Kind("rows are sorted and compared by id: the rows of two runs cannot be paired"),
    # images and their annotations
    "size_mismatch": Kind("boxes are scaled by the annotated size; if it is wrong, they miss their objects"),
    "exif_rotation": Kind("tools disagree whether boxes refer to the stored or to the upright picture", serious=False),
    # boxes
    "inverted_box": Kind("the box has no area and is left out", left_out=True, unusable="box"),
    "empty_box": Kind("the box has no area and is left out", left_out=True, unusable="box"),
    "outside_box": Kind("the box is clipped to the image", left_out=True),
    "edge_box": Kind("the box reaches beyond the image by a rounding error and is clipped", serious=False),
    "duplicate_box": Kind("the object counts twice", serious=False),
    "normalised_box": Kind("coordinates in [0, 1] read as pixels make boxes smaller than a pixel: IoU is 0", unusable="image"),
    "pixel_box": Kind("pixels read as coordinates in [0, 1] are outside the image: the boxes are left out", unusable="image"),
    "xywh_box": Kind("width and height read as the far corner make boxes inverted or too small", unusable="image"),
    "corner_box": Kind("the far corner read as width and height makes boxes too large, up to beyond the image", unusable="image"),
    "middle_box": Kind("the center of a box read as its corner moves the box away from its object", unusable="image"),
    "zero_based_box": Kind("pixels counted from 0 and read as counted from 1 shift every box by a pixel"),
    "one_based_box": Kind("pixels counted from 1 and read as counted from 0 shift every box by a pixel"),
    # classes
    "unknown_class": Kind("the box is left out", left_out=True, unusable="box"),
    "one_based_class": Kind("boxes of the last class are left out, and all others have the class of another number", unusable="data"),
    "class_case": Kind("one class counts as two"),
    "unused_class": Kind("the class has no example to learn from", serious=False),
}
