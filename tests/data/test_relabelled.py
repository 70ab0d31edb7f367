"""Classes are matched by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from imgloc.data.relabelled import match_classes
from imgloc.data.sources import folder
from imgloc.types import Reducible, TruthKnown
from tests.refusals import assert_refused


def test_labels_are_those_of_the_other_list_everywhere(picture_folder: Path) -> None:
    plain = folder.source("train", seed=0, folder=str(picture_folder))
    assert plain.classes == ("cat", "dog", "owl")
    matched = match_classes(plain, ("owl", "bee", "dog", "cat"))
    assert isinstance(matched, Reducible)
    assert isinstance(matched, TruthKnown)
    assert matched.info.classes == ("owl", "bee", "dog", "cat")
    assert matched.fingerprint != plain.fingerprint
    assert matched.groups == plain.groups
    for i in range(len(plain)):
        example, other = plain[i], matched[i]
        for truth in (other, matched.known(i), matched.reduced(i, 8, 8)):
            assert matched.info.classes[truth.label] == plain.classes[example.label]
            assert [matched.info.classes[k] for k in truth.labels_n] == [plain.classes[k] for k in example.labels_n]
        np.testing.assert_array_equal(other.image_hxwxc, example.image_hxwxc)
        assert matched.reduced(i, 8, 8).truth.width == matched.known(i).width == example.image_hxwxc.shape[1]
    assert match_classes(plain, plain.classes) is plain


def test_crowds_get_the_numbers_of_the_other_list(tmp_path: Path) -> None:
    table = "filename,class,xmin,ymin,xmax,ymax,iscrowd\na.png,cat,1,2,9,9,0\na.png,cat,3,4,9,9,1\n"
    (tmp_path / "labels.csv").write_text(table)
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    matched = match_classes(folder.source("train", seed=0, folder=str(tmp_path), validation=0, test=0), ("owl", "cat"))
    for truth in (matched[0], matched[0].truth, matched.known(0)):
        assert (truth.labels_n.tolist(), truth.crowd_labels_m.tolist()) == ([1], [1])
        np.testing.assert_allclose(truth.crowd_boxes_mx4, [[0.3, 0.4, 0.9, 0.9]])


def test_a_class_that_the_run_does_not_know_is_refused_with_its_name(picture_folder: Path) -> None:
    source = folder.source("train", seed=0, folder=str(picture_folder))
    assert_refused(lambda: match_classes(source, ("cat", "owl")), "dog", "does not know", "cat, owl")
