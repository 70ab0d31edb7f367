"""A run on pictures: JSON lines, pixels of the picture itself, the others go on where one fails."""

from __future__ import annotations

import dataclasses
import functools
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
from imgloc.inference.load import Loaded
from imgloc import draw
from imgloc.cli import main
from imgloc.config import build
from imgloc.data.sources.scattered_digits import source
from imgloc.devices import mesh
from imgloc.errors import UserError
from imgloc.inference import locate
from imgloc.inference.predict import predict_rows
from imgloc.models import ram, three_layer_cnn
from imgloc.report import partial_predictions
from imgloc.types import Example, InputSpec
from tests import processes
from tests.data.checks.test_examples import Listed
from tests.inference.test_predict import predictor
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
        assert max(copy.shape) >= 320
        drawn = (copy == draw.PREDICTED_COLOR).all(axis=-1)
        x0, y0, x1, y1 = (round(edge * factor) for edge in answers[[p.name for p in pictures].index(path.name)]["box"])
        middle = (y0 + y1) // 2
        assert drawn[middle, x0 - 2 : x0 + 3].any()
        assert drawn[middle, x1 - 3 : x1 + 2].any()
        assert not drawn[middle, : max(0, x0 - 3)].any()


def test_the_answer_to_a_picture_of_one_s_own_step_by_step(
    evaluated_run: Path, pictures: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "steps"
    folder.mkdir()
    (folder / "large.svg").write_text("<svg>drawn by hand</svg>")
    assert main.main(["locate", str(evaluated_run), *map(str, pictures), "--steps", str(folder)]) == 1
    grey, large, again = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (grey["steps"], again["steps"]) == (str(folder / "grey.svg"), str(folder / "grey-2.svg"))
    assert "would overwrite" in large["error"]
    assert (folder / "large.svg").read_text() == "<svg>drawn by hand</svg>"
    root = ElementTree.parse(folder / "grey.svg").getroot()
    assert root.findtext("{*}title") == "grey.png: the answer as it forms"
    assert f"after 32 of 32 steps {grey['class']} with {100 * grey['score']:.0f} %" in (root.findtext("{*}desc") or "")
    assert partial_predictions.is_ours(folder / "grey.svg"), "over its own earlier pictures"
    all_at_once = three_layer_cnn.Model(num_classes=10, **three_layer_cnn.TINY)
    variables = jax.eval_shape(lambda: all_at_once.init(jax.random.key(0), np.zeros((1, 64, 64, 1), np.float32), train=False))
    run = locate.Opened("three_layer_cnn", all_at_once, variables, mesh.make_mesh(), np.float32, InputSpec((64, 64, 1)), ("a",))
    assert_refused(lambda: locate.stepwise(run), "model 'three_layer_cnn' of this run has no output 'steps'")


def stub(box: tuple[float, float, float, float], seen: list[np.ndarray]) -> Loaded:
    """A run that finds the same box, as shares of the sides, in every picture that it is given."""

    def predict(pictures: Any) -> list[locate.Found]:
        seen.extend(pictures)
        return [locate.Found("a", 0.5, tuple(np.array(box) * [*p.shape[1::-1], *p.shape[1::-1]])) for p in pictures]

    return Loaded(predict, ("a",))


def test_the_box_lies_in_the_pixels_of_the_file(tmp_path: Path) -> None:
    """A stub finds what is bright; the file's own pixels in the box that is told are the bright ones."""
    stored = np.zeros((40, 60), np.uint8)
    stored[10:20, 30:54] = 255
    for orientation in (1, 3, 6, 7):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.png"
        Image.fromarray(stored).save(path, exif=exif)

        def find_bright(pictures: Any) -> list[locate.Found]:
            rows, columns = np.nonzero(pictures[0].max(axis=-1) > 100)
            return [locate.Found("a", 0.5, (float(columns.min()), float(rows.min()), columns.max() + 1.0, rows.max() + 1.0))]

        (answer,) = locate.locate_files(Loaded(find_bright, ("a",)), [str(path)], tmp_path / "out")
        assert answer["box"] == [30, 10, 54, 20]
        with Image.open(tmp_path / "out" / path.name) as copy:
            upright = {1: (60, 40), 3: (60, 40), 6: (40, 60), 7: (40, 60)}[orientation]
            assert copy.width / copy.height == upright[0] / upright[1]
        if orientation == 1:
            assert set(answer) == {"path", "class", "score", "box"}
        else:
            assert answer["orientation"] == orientation
            expected = {3: [6, 20, 30, 30], 6: [20, 30, 30, 54], 7: [20, 6, 30, 30]}[orientation]
            assert answer["box_upright"] == expected


def test_a_loaded_run_tells_boxes_in_stored_pixels_too(evaluated_run: Path, tmp_path: Path) -> None:
    canvas = source("test", seed=0)[0].image_hxwxc[..., 0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(canvas)).save(tmp_path / "turned.png", exif=exif)
    predict, _ = imgloc.load(evaluated_run)
    upright, turned = predict([canvas, tmp_path / "turned.png"])
    x0, y0, x1, y1 = upright.box
    np.testing.assert_allclose(turned.box, [y0, 64 - x1, y1, 64 - x0], atol=1e-4)


def test_awkward_files_each_get_a_line(data_folder: Path, tmp_path: Path) -> None:
    facts = json.loads((data_folder / "awkward" / "awkward.json").read_text())
    seen: list[np.ndarray] = []
    paths = [str(data_folder / "awkward" / name) for name in facts]
    answers = list(locate.locate_files(stub((0.25, 0.5, 0.75, 1.0), seen), paths, None))
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


def test_a_run_that_reads_several_objects_says_them_all(tmp_path: Path) -> None:
    model = ram.Model(num_classes=3, **ram.TINY, labels=3)
    rng, classes = np.random.default_rng(0), ("a", "b", "c")
    pixels = rng.integers(0, 255, (12, 12), np.uint8)
    shapes = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), np.zeros((1, 12, 12, 1), np.float32))
    variables = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)
    device = mesh.make_mesh(jax.local_devices()[:1])
    opened = locate.Opened("ram", model, variables, device, np.float32, InputSpec((12, 12, 1)), classes, reads=True)
    Image.fromarray(pixels).save(tmp_path / "own.png")
    (answer,) = locate.locate_files(locate.predictor(opened), [str(tmp_path / "own.png")], None)
    said = jax.nn.softmax(model.apply(variables, pixels[None, ..., None] / np.float32(255), train=False)["sequence"][0])
    assert (answer["class"], answer["box"]) == (" ".join(classes[k] for k in said.argmax(axis=-1)), None)
    assert answer["score"] == pytest.approx(float(said.max(axis=-1).prod()), rel=1e-4)
    assert len(set(answer["class"].split())) > 1, "they would be alike in any order"


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


def test_a_letterboxed_picture_has_the_box_that_its_row_has(evaluated_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canvas = source("test", seed=0)[0].image_hxwxc
    wide = np.asarray(Image.fromarray(canvas[..., 0]).resize((128, 64), Image.Resampling.NEAREST))[..., None]
    squashed = imgloc.load(evaluated_run)[0]([wide])[0]
    make_view = build.make_input_spec
    monkeypatch.setattr(build, "make_view", lambda *given: dataclasses.replace(make_view(*given), resize="letterbox"))
    found = imgloc.load(evaluated_run)[0]([wide])[0]

    example = Example(wide, np.array([[0.1, 0.1, 0.9, 0.9]], np.float32), np.zeros(1, np.int32), 0, "wide", "wide")
    rows = predict_rows(
        {"model": predictor(evaluated_run)[0]}, Listed((example,)), build.make_task("locate"), "test",
        batch_size=1, view=InputSpec((64, 64, 1), 1, "letterbox"), threads=1,
    )  # fmt: skip
    np.testing.assert_allclose(found.box, np.array(rows["model"][0]["pred_box"]) * [128, 64, 128, 64], atol=1e-2)
    np.testing.assert_allclose(rows["model"][0]["boxes"], example.boxes_nx4, atol=0, err_msg="truth is of the image, not of the view")
    assert np.abs(np.array(found.box) - squashed.box).max() > 0.5


@pytest.mark.parametrize(
    "picture", [np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)]
)
def test_arrays_that_are_no_picture_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(UserError, match="a picture is"):
        locate.as_picture(picture, 1)


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        imgloc.load(tmp_path)


def test_an_annotated_copy_is_written_over_nothing_but_an_earlier_one(tmp_path: Path) -> None:
    def find(pictures: Any) -> list[locate.Found]:
        return [locate.Found("a", 0.5, None)]

    def located(*names: str) -> list[dict[str, Any]]:
        return list(locate.locate_files(Loaded(find, ("a",)), [str(tmp_path / name) for name in names], tmp_path))

    grey = Image.fromarray(np.full((8, 8), 99, np.uint8))
    for name in ("photo.jpg", "photo.png", "other.jpg", "other.png", "third.jpg"):
        grey.save(tmp_path / name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    first, second = located("photo.jpg", "photo.png")  # the copy of the first would lie where the second is
    assert f"would overwrite the picture '{tmp_path / 'photo.png'}'" in first["error"]
    assert second["class"] == "a"
    assert "which is no annotated copy" in located("other.jpg")[0]["error"]
    for _ in range(2):
        assert located("third.jpg")[0]["class"] == "a"
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert {path.name for path in tmp_path.iterdir()} - set(before) == {"photo-2.png", "third.png"}
