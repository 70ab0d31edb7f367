"""Predictions: a row an example whatever the batch size, none for what cannot be decoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from imgloc.config import build
from imgloc.data.batches.collate import collate
from imgloc.devices import mesh
from imgloc.errors import UnreadableImage
from imgloc.evaluation.evaluate import _write_thumbnails
from imgloc.inference import predict
from imgloc.runs import run_dir
from imgloc.types import Batch, Example, Info, InputSpec, Outputs
from tests.data.batches.test_sampler import Damaged
from tests.refusals import assert_refused


def predictor(workdir: Path) -> tuple[predict.Predict, object]:
    run, config = run_dir.open_run(str(workdir))
    devices = mesh.make_mesh()
    variables, _ = predict.load_variables(run, config, (64, 64, 1), 10, "best", devices)
    compiled = predict.compiled_predict(build.make_model(config.model, 10), devices, np.float32)
    return predict.model_predict(variables, compiled, devices), config


def test_as_many_rows_as_examples_and_the_same_answers_for_any_batch_size(tiny_run: Path) -> None:
    one_by_one, config = predictor(tiny_run)
    validation = build.make_source(config.data, "validation", 0)  # type: ignore[attr-defined]
    tables = {
        size: predict.predict_rows(
            {"model": one_by_one},
            validation,
            build.make_task("locate"),
            "validation",
            batch_size=size,
            view=InputSpec((64, 64, 1)),
            threads=2,
        )["model"]
        for size in (1, 64, 800, 801)
    }
    for size, rows in tables.items():
        assert len(rows) == len(validation) == 800, size
        assert [row["id"] for row in rows] == [row["id"] for row in tables[1]]
        for column in ("pred_box", "top_scores"):
            np.testing.assert_allclose([row[column] for row in rows], [row[column] for row in tables[1]], atol=1e-5)


def test_boxes_and_probabilities_equal_batch_one(tiny_run: Path) -> None:
    predict_batch, config = predictor(tiny_run)
    validation = build.make_source(config.data, "validation", 0)  # type: ignore[attr-defined]
    examples = [validation[i] for i in range(64)]
    together = predict_batch(collate(examples, 64, InputSpec((64, 64, 1))))
    for i, example in enumerate(examples):
        alone = predict_batch(collate([example], 1, InputSpec((64, 64, 1))))
        np.testing.assert_allclose(jax.nn.softmax(together["logits"][i]), jax.nn.softmax(alone["logits"][0]), atol=1e-5)
        np.testing.assert_allclose(together["box"][i], alone["box"][0], atol=1e-5)
    assert np.abs(np.diff(together["box"], axis=0)).max() > 1e-2  # the answers are not all alike


def test_a_split_of_which_no_image_can_be_decoded_is_told_in_one_line() -> None:
    class Damaged:
        info = Info(classes=("a", "b"), channels=1)

        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Example:
            raise UnreadableImage(f"damaged {index}")

    make_rows = build.make_task("classify")
    assert_refused(
        lambda: predict.predict_rows(
            {"a": lambda batch: {"logits": np.zeros((2, 2))}},
            Damaged(),
            make_rows,
            "test",
            batch_size=2,
            view=InputSpec((4, 4, 1)),
            threads=1,
        ),
        "none of the 3 images of split 'test' can be decoded",
    )


def test_examples_are_read_once_for_all_predictors() -> None:
    read: list[int] = []

    class Counted:
        info = Info(classes=("a", "b"), channels=1)

        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> Example:
            read.append(index)
            none = np.zeros(0, np.int32)
            return Example(np.zeros((4, 4, 1), np.uint8), np.zeros((0, 4), np.float32), none, index % 2, f"{index}", f"{index}")

    def always(label: int) -> Callable[[Batch], Outputs]:
        return lambda batch: {"logits": np.eye(2, dtype=np.float32)[[label] * len(batch.label_b)]}

    answers = {"a": always(0), "b": always(1)}
    rows = predict.predict_rows(answers, Counted(), build.make_task("classify"), "test", batch_size=2, view=InputSpec((4, 4, 1)), threads=1)
    assert read == [0, 1, 2, 3, 4]
    assert [[row["id"] for row in rows[name]] for name in "ab"] == [["0", "1", "2", "3", "4"]] * 2
    assert [row["top_labels"][0] for row in rows["b"]] == [1] * 5


@pytest.mark.parametrize("bad", [(), (2, 3), (0, 9)])
def test_images_that_cannot_be_decoded_have_no_row_and_cost_no_other_its_picture(bad: tuple[int, ...], tmp_path: Path) -> None:
    def right(batch: Batch) -> Outputs:
        return {"logits": 3 * np.eye(2, dtype=np.float32)[batch.label_b], "box": batch.boxes_bxnx4[:, 0]}

    source, run = Damaged(10, bad=bad, name=f"rows{len(bad)}"), run_dir.RunDir(tmp_path)
    options: dict[str, Any] = {"batch_size": 4, "view": InputSpec((16, 16, 1)), "threads": 2}
    rows = predict.predict_rows({"model": right}, source, build.make_task("locate"), "test", **options)["model"]
    assert [int(row["id"]) for row in rows] == [i for i in range(10) if i not in bad]
    assert all(row["top_labels"][0] == row["label"] == int(row["id"]) % 2 for row in rows)
    _write_thumbnails(run, "test", source, rows, 10)
    for row in rows:
        level = int(np.asarray(Image.open(run.thumbnail("test", row["id"])))[0, 0].max())
        assert level == int(row["id"]), "the picture is that of its row"
    assert len(list(run.thumbnails("test").iterdir())) == len(rows)
    nothing = Damaged(10, bad=tuple(range(10)), name="no rows")
    assert_refused(lambda: predict.predict_rows({"model": right}, nothing, build.make_task("locate"), "test", **options), "can be decoded")
