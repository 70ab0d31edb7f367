"""Names of folders and files that say a split, and names that do not."""

from __future__ import annotations

import pytest

from imgloc.data.annotated.splits import split_of_name, split_of_path, splits_of_folders


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "val", "test"), {"train": "train", "val": "validation", "test": "test"}),
        (("training_set", "test_set"), {"training_set": "train", "test_set": "test"}),
        (("TrainImages", "TestImages"), {"TrainImages": "train", "TestImages": "test"}),
        (("train2017", "val2017"), {"train2017": "train", "val2017": "validation"}),
        (("seg_train", "seg_test", "seg_pred"), {"seg_train": "train", "seg_test": "test"}),
        (("WIDER_train", "WIDER_val"), {"WIDER_train": "train", "WIDER_val": "validation"}),
        (("test_tubes", "flasks"), {}),
        (("test_tubes", "train_tracks"), {}),
        (("train_val", "trainval"), {}),
        (("training", "latest", "validated", "contest"), {"training": "train"}),
    ],
)
def test_folders_named_after_splits(names: tuple[str, ...], expected: dict[str, str]) -> None:
    assert splits_of_folders(names) == expected
    assert splits_of_folders(f"a/b/{name}" for name in names) == {f"a/b/{name}": split for name, split in expected.items()}


def test_words_are_compared_among_folders_side_by_side() -> None:
    assert splits_of_folders(["a/dog_train", "b/dog_test"]) == {}


def test_the_innermost_folder_counts_and_unknown_folders_go_by_their_name() -> None:
    splits = {"train": "train", "train/val": "validation", "images": ""}
    assert split_of_path("train/val/a.jpg", splits) == "validation"
    assert split_of_path("train/b/a.jpg", splits) == "train"
    assert split_of_path("images/a.jpg", splits) == ""
    assert split_of_path("missing/test/a.jpg", splits) == "test"
    assert split_of_path("a.jpg", splits) == ""


@pytest.mark.parametrize(
    ("name", "split"), [("train_labels.csv", "train"), ("instances_val2017.json", "validation"), ("trainval.txt", "train"), ("all.csv", "")]
)
def test_names_of_files(name: str, split: str) -> None:
    assert split_of_name(name) == split
