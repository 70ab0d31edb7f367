"""A trained model on image files: JSON lines, boxes in pixels of the file, and one line for each file that fails."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
from PIL import Image

import imgloc
from imgloc import draw
from imgloc.cli import main
from imgloc.data.sources.scattered_digits import source
from imgloc.inference import locate_files
from imgloc.inference.load import Prepared
from imgloc.models import ram, three_layer_cnn
from imgloc.types import InputSpec
from tests import processes
from tests.inference.trained import boxed, predicting, trained_model
from tests.png import png
from tests.refusals import assert_refused


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
        assert copy.shape[:2] == np.asarray(Image.open(path).convert("RGB")).shape[:2]
        drawn = (copy == draw.PREDICTED_COLOR).all(axis=-1)
        x0, y0, x1, y1 = (round(edge * factor) for edge in answers[[p.name for p in pictures].index(path.name)]["box"])
        middle = (y0 + y1) // 2
        assert drawn[middle, x0 - 2 : x0 + 3].any()
        assert drawn[middle, x1 - 3 : x1 + 2].any()
        assert not drawn[middle, : max(0, x0 - 3)].any()


def test_partial_predictions_of_an_image_of_one_s_own(
    evaluated_run: Path, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "partial"
    folder.mkdir()
    (folder / "large.svg").write_text("<svg>drawn by hand</svg>")
    arguments = ["locate", str(evaluated_run), *map(str, pictures), "--partial-predictions", str(folder)]
    assert main.main(arguments) == 1
    grey, large, again = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (grey["partial_predictions"], again["partial_predictions"]) == (str(folder / "grey.svg"), str(folder / "grey-2.svg"))
    assert "would overwrite" in large["error"]
    assert (folder / "large.svg").read_text() == "<svg>drawn by hand</svg>"
    root = ElementTree.parse(folder / "grey.svg").getroot()
    assert (root.findtext("{*}title") or "").startswith("grey.png: ")
    assert f"{grey['class']} with {100 * grey['score']:.0f} %" in (root.findtext("{*}desc") or "")
    assert main.main(arguments) == 1
    assert (folder / "grey.svg").is_file(), "an earlier one of ours is replaced"
    all_at_once = three_layer_cnn.Model(num_classes=10, **three_layer_cnn.TINY)
    run = trained_model(all_at_once, InputSpec((64, 64, 1)), ("a",), name="three_layer_cnn")
    assert_refused(lambda: locate_files.partial_predictor(run), "model 'three_layer_cnn' has no output 'partial_predictions'")


def test_the_box_lies_in_the_pixels_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stub returns the bright part of its input; the pixels of the file in the printed box are the bright ones."""
    stored = np.zeros((40, 60), np.uint8)
    stored[10:20, 30:54] = 255

    def bright(image: Prepared) -> dict[str, Any]:
        rows, columns = np.nonzero(image.input_hxwxc.max(axis=-1) > 100)
        height, width = image.input_hxwxc.shape[:2]
        return boxed([columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height])

    for orientation in (1, 3, 6, 7):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        Image.fromarray(stored).save(path, exif=exif)
        upright = {1: (60, 40), 3: (60, 40), 6: (40, 60), 7: (40, 60)}[orientation]
        trained = predicting(monkeypatch, bright, InputSpec((*upright[::-1], 3)))
        (answer,) = locate_files.locate_files(trained, [str(path)], tmp_path / "out")
        assert answer["box"] == [30, 10, 54, 20]
        with Image.open(tmp_path / "out" / path.name) as copy:
            assert copy.width / copy.height == upright[0] / upright[1]
        if orientation == 1:
            assert set(answer) == {"path", "class", "score", "box"}
        else:
            assert answer["orientation"] == orientation
            expected = {3: [6, 20, 30, 30], 6: [20, 30, 30, 54], 7: [20, 6, 30, 30]}[orientation]
            assert answer["box_upright"] == expected


def test_files_are_predicted_in_batches_and_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def columns(images: Any, size: int) -> list[Any]:
        sizes.append(len(images))
        return [None if image.input_hxwxc.max() == 99 else boxed([0, 0, image.input_hxwxc.max() / 255, 1]) for image in images]

    trained = predicting(monkeypatch, lambda image: {}, InputSpec((4, 4, 3)))
    monkeypatch.setattr("imgloc.inference.load.column_predictor", lambda trained: columns)
    paths = []
    for i in range(70):
        path = tmp_path / f"{i}.png"
        path.write_bytes(b"no image") if i == 40 else Image.fromarray(np.full((4, 4), 100 + i if i != 50 else 99, np.uint8)).save(path)
        paths.append(str(path))
    answers = list(locate_files.locate_files(trained, paths, None))
    assert [answer["path"] for answer in answers] == paths
    assert sizes == [32, 31, 6]
    assert "not an image" in answers[40]["error"]
    assert answers[50] == {"path": paths[50], "error": "the output of the model contains NaN or infinity"}
    assert [answer["box"][2] for answer in answers[:40]] == pytest.approx([4 * (100 + i) / 255 for i in range(40)], abs=1e-3)


def test_a_loaded_model_returns_boxes_in_stored_pixels_too(evaluated_run: Path, tmp_path: Path) -> None:
    canvas = source("test", seed=0)[0].image_hxwxc[..., 0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(canvas)).save(tmp_path / "turned.png", exif=exif)
    upright, turned = imgloc.load(evaluated_run).predict([canvas, tmp_path / "turned.png"])
    x0, y0, x1, y1 = upright.answer.box
    np.testing.assert_allclose(turned.answer.box, [y0, 64 - x1, y1, 64 - x0], atol=1e-4)
    np.testing.assert_allclose(turned.row["pred_box"], upright.row["pred_box"], atol=1e-5, err_msg="rows are of the upright image")


def test_awkward_files_each_get_a_line(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = json.loads((data_folder / "awkward" / "awkward.json").read_text())
    seen: list[Prepared] = []
    trained = predicting(monkeypatch, lambda image: seen.append(image) or boxed([0.25, 0.5, 0.75, 1.0]), InputSpec((8, 8, 3)))
    paths = [str(data_folder / "awkward" / name) for name in facts]
    answers = list(locate_files.locate_files(trained, paths, None))
    assert [answer["path"] for answer in answers] == paths
    failed = {Path(str(answer["path"])).name for answer in answers if "error" in answer}
    assert failed == {name for name, fact in facts.items() if fact.get("decodes") is False or not fact.get("opens", True)}
    assert len(seen) == len(facts) - len(failed)
    for answer, fact in zip(answers, facts.values(), strict=True):
        if "error" in answer:
            assert len(str(answer["error"]).splitlines()) == 1
            continue
        width, height = fact.get("stored_size") or fact["size"]
        if "stored_size" in fact:  # the lower half, in the middle, of the picture as shown: the right half of what is stored
            assert answer["box"] == [width / 2, height / 4, width, height * 3 / 4]
            width, height = fact["shown_size"]
            assert answer["box_upright"] == [width / 4, height / 2, width * 3 / 4, height]
        else:
            assert answer["box"] == [width / 4, height / 2, width * 3 / 4, height]


MEASURED = """
import sys
from imgloc.cli.main import main
code = main(sys.argv[1:])
peak = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]  # KiB; of this process alone
print(code, *peak, file=sys.stderr)
"""


def write_large(path: Path, side: int, *, bits: int = 1, color: int = 0) -> None:
    """A PNG of side x side pixels by its header, and of 1 bit grey by its content."""
    compressor = zlib.compressobj(1)
    row = b"\0" + b"\x0f" * (side // 8)
    rows = b"".join(compressor.compress(row * 100) for _ in range(side // 100)) + compressor.flush()
    path.write_bytes(png(side, side, bits=bits, color=color, rows=rows))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_memory_stays_under_2_gib_also_for_400_million_pixels(evaluated_run: Path, tmp_path: Path, cache: Path) -> None:
    write_large(tmp_path / "huge.png", 20_000)
    write_large(tmp_path / "bomb.png", 20_000, bits=8, color=2)
    given = [str(tmp_path / name) for name in ("huge.png", "bomb.png")]
    arguments = ["locate", str(evaluated_run), *given, "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        cwd=processes.ROOT, env=processes.environment(cache), capture_output=True, text=True, check=False,
    )  # fmt: skip
    huge, bomb = (json.loads(line) for line in done.stdout.splitlines())
    assert set(huge) == {"path", "class", "score", "box"}, done.stderr
    assert "the limit is 768 MiB" in bomb["error"]
    code, peak = done.stderr.split()
    assert code == "1"
    assert 500_000 < int(peak) < 2 * 2**20


def test_a_model_that_reads_several_objects_prints_all_of_them(tmp_path: Path) -> None:
    model = ram.Model(num_classes=3, **ram.TINY, labels=3)
    pixels = np.random.default_rng(0).integers(0, 255, (12, 12), np.uint8)
    trained = trained_model(model, InputSpec((12, 12, 1)), ("a", "b", "c"), task="read_sequence")
    rng = np.random.default_rng(1)  # as it is initialized, the model predicts one class for all three objects
    moved = jax.tree.map(lambda a: a + rng.standard_normal(a.shape).astype(a.dtype), trained.variables)
    trained = dataclasses.replace(trained, variables=moved)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    (answer,) = locate_files.locate_files(trained, [str(tmp_path / "own.png")], None)
    sequence = model.apply(trained.variables, pixels[None, ..., None] / np.float32(255), train=False)["sequence"][0]
    probabilities = jax.nn.softmax(sequence)
    assert (answer["class"], answer["box"]) == (" ".join("abc"[k] for k in probabilities.argmax(axis=-1)), None)
    assert answer["score"] == pytest.approx(float(probabilities.max(axis=-1).prod()), rel=1e-4)
    assert len(set(answer["class"].split())) > 1, "they would be alike in any order"


def test_exit_code_is_0_where_all_went_well(evaluated_run: Path, pictures: list[Path], cache: Path) -> None:
    assert len(processes.run("locate", str(evaluated_run), str(pictures[0]), cache=cache).stdout.splitlines()) == 1


def test_an_annotated_copy_replaces_nothing_but_an_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = predicting(monkeypatch, lambda image: boxed([0.25, 0.25, 0.75, 0.75]), InputSpec((8, 8, 3)))

    def located(*names: str) -> list[dict[str, Any]]:
        return list(locate_files.locate_files(trained, [str(tmp_path / name) for name in names], tmp_path))

    grey = Image.fromarray(np.full((8, 8), 99, np.uint8))
    for name in ("photo.jpg", "photo.png", "other.jpg", "other.png", "third.jpg"):
        grey.save(tmp_path / name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    first, second = located("photo.jpg", "photo.png")  # the copy of the first would replace the second
    assert f"would overwrite the image '{tmp_path / 'photo.png'}'" in first["error"]
    assert second["class"] == "a"
    assert "which imgloc did not write" in located("other.jpg")[0]["error"]
    for _ in range(2):
        assert located("third.jpg")[0]["class"] == "a"
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert {path.name for path in tmp_path.iterdir()} - set(before) == {"photo-2.png", "third.png"}
