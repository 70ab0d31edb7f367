"""A run on pictures: JSON lines, pixels of the picture itself, the others go on where one fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import imgloc
from imgloc import draw, locate
from imgloc.data.sources.scattered_digits import source
from imgloc.errors import UserError
from tests import processes


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "again").mkdir()
    canvas = source("test", seed=0)[0].image_hxwxc[..., 0]
    paths = [folder / "grey.png", folder / "large.jpg", folder / "again" / "grey.png"]
    Image.fromarray(canvas).save(paths[0])
    Image.fromarray(canvas).resize((320, 128)).convert("RGB").save(paths[1], quality=95)
    Image.fromarray(canvas).save(paths[2])
    return paths


def test_the_command_gives_a_line_a_picture_and_annotated_copies(
    evaluated_run: Path, pictures: list[Path], tmp_path: Path, cache: Path
) -> None:
    broken, missing = tmp_path / "broken.png", tmp_path / "missing.png"
    broken.write_bytes(b"no picture")
    arguments = [*map(str, pictures), str(broken), str(missing)]
    done = processes.run("locate", str(evaluated_run), *arguments, "--out", str(tmp_path / "out"), cache=cache, code=1)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["path"] for answer in answers] == arguments
    for answer, path in zip(answers[:3], pictures, strict=True):
        assert set(answer) == {"path", "class", "score", "box"}
        assert answer["class"] in set("0123456789")
        assert 0 < answer["score"] <= 1
        with Image.open(path) as picture:
            width, height = picture.size
        x0, y0, x1, y1 = answer["box"]
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
    assert all(set(answer) == {"path", "error"} for answer in answers[3:])
    assert "not an image" in answers[3]["error"]
    assert "no such" in answers[4]["error"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["grey-2.png", "grey.png", "large.png"]
    for name, path in (("grey.png", pictures[0]), ("large.png", pictures[1])):
        with Image.open(path) as before, Image.open(tmp_path / "out" / name) as after:
            original, copy = np.asarray(before.convert("RGB")), np.asarray(after)
        factor = copy.shape[0] // original.shape[0]
        assert copy.shape == (original.shape[0] * factor, original.shape[1] * factor, 3)
        assert max(copy.shape) >= 320
        drawn = (copy == draw.PREDICTED_COLOR).all(axis=-1)
        x0, y0, x1, y1 = (round(edge * factor) for edge in answers[[p.name for p in pictures].index(path.name)]["box"])
        middle = (y0 + y1) // 2
        assert drawn[middle, x0 - 2 : x0 + 3].any()
        assert drawn[middle, x1 - 3 : x1 + 2].any()
        assert not drawn[middle, : max(0, x0 - 3)].any()


def test_exit_code_is_0_where_all_went_well(evaluated_run: Path, pictures: list[Path], cache: Path) -> None:
    assert len(processes.run("locate", str(evaluated_run), str(pictures[0]), cache=cache).stdout.splitlines()) == 1


def test_load_gives_a_predict_function_and_the_classes(evaluated_run: Path, pictures: list[Path]) -> None:
    predict, classes = imgloc.load(evaluated_run)
    assert classes == tuple("0123456789")
    canvas = source("test", seed=0)[0].image_hxwxc
    answers = predict([canvas, canvas[..., 0], Image.fromarray(canvas[..., 0]), pictures[0], str(pictures[0])])
    assert len(set(answers)) == 1
    row = json.loads((evaluated_run / "rows" / "test.jsonl").read_text().splitlines()[0])
    assert row["id"] == "test-00000000"
    np.testing.assert_allclose(answers[0].box, np.array(row["pred_box"]) * 64, atol=1e-3)
    assert answers[0].label == str(row["top_labels"][0])
    assert answers[0].score == pytest.approx(row["top_scores"][0], abs=1e-5)
    assert len(predict([canvas] * 40)) == 40
    assert predict([]) == []


def test_a_stretched_picture_has_its_box_stretched(evaluated_run: Path) -> None:
    predict, _ = imgloc.load(evaluated_run)
    canvas = source("test", seed=0)[0].image_hxwxc
    wide = np.asarray(Image.fromarray(canvas[..., 0]).resize((128, 64), Image.Resampling.NEAREST))
    alone, stretched = predict([canvas])[0], predict([wide])[0]
    np.testing.assert_allclose(np.array(stretched.box) / [2, 1, 2, 1], alone.box, atol=1.0)


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)]
)
def test_arrays_that_are_no_picture_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(UserError, match="a picture is"):
        locate.as_pixels(picture, 1)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        imgloc.load(tmp_path)
