"""Splits by name: which folders and files of a data set are named after train, validation or test."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

SPLIT_NAMES = {
    "train": "train", "training": "train", "trn": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation", "fullsup": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip
#: Words beside the name of a split that do not make a folder anything else: training_set, test_images.
NEUTRAL_WORDS = {
    "set", "sets", "data", "dataset", "split", "image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "frames",
    "jpg", "jpeg", "png", "label", "labels", "annotation", "annotations", "annots", "xml", "xmls", "txt", "boxes",
}  # fmt: skip
_WORD = re.compile(r"[A-Z]?[a-z]+[0-9]*|[A-Z]+[0-9]*(?![a-z])|[0-9]+|[^\W\d_]+")


def split_of_name(name: str) -> str:
    """Returns the split in a file's name, or "": train_labels.csv, instances_val2017.json, train-fullsup."""
    words = re.findall("[a-z]+", name.lower())
    splits = [SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES]
    if len(set(splits)) > 1 and "fullsup" not in words:  # train_val means trainval; train_test has no meaning
        return "train" if set(splits) == {"train", "validation"} else ""
    return splits[-1] if splits else "train" if "trainval" in words else ""


def parse_folder_name(name: str) -> tuple[str, tuple[str, ...]]:
    """Returns the split in a folder's name, and its other words: ("train", ("wider",)) for WIDER_train; "" for none or several."""
    words = [word.lower() for word in _WORD.findall(name)]
    splits = [SPLIT_NAMES.get(word.rstrip("0123456789"), "") for word in words]
    rest = tuple(word for word, split in zip(words, splits, strict=True) if not split and word not in NEUTRAL_WORDS)
    named = [split for split in splits if split]
    return (named[0], rest) if len(named) == 1 else ("", tuple(words))


def splits_of_folders(folders: Iterable[str]) -> dict[str, str]:
    """Returns the split of each folder (a path) that is named after one: train, val2017, training_set.

    A name with other words (seg_train) is that of a split if a folder beside it has the same words with another split (seg_test);
    otherwise it is a name like any other (test_tubes).
    """
    parsed = {folder: parse_folder_name(folder.rpartition("/")[2]) for folder in folders}
    siblings: defaultdict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
    for folder, (split, rest) in parsed.items():
        if split:
            siblings[folder.rpartition("/")[0], rest].add(split)
    return {
        folder: split
        for folder, (split, rest) in parsed.items()
        if split and (not rest or len(siblings[folder.rpartition("/")[0], rest]) > 1)
    }  # fmt: skip


def split_of_path(path: str, splits: Mapping[str, str]) -> str:
    """Returns the split of the innermost folder of a file that is named after one, or "". `splits` is by folder, for known folders."""
    folder = path
    while folder := folder.rpartition("/")[0]:
        split = splits.get(folder)
        if split is None:  # the folder does not exist: its name alone decides
            split, rest = parse_folder_name(folder.rpartition("/")[2])
            split = "" if rest else split
        if split:
            return split
    return ""
