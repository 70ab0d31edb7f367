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
from imgloc.config.registry import declared
from imgloc.data.batches.collate import collate
from imgloc.devices import mesh
from imgloc.errors import UnreadableImage
from imgloc.evaluation.examples import write_gallery
from imgloc.evaluation.target import Target
from imgloc.inference import predict
from imgloc.inference.load import find_bundle, load_model
from imgloc.interfaces import Task
from imgloc.runs import run_dir
from imgloc.types import Batch, Example, Info, InputSpec, Outputs, Predict
from tests.data.batches.test_sampler import Damaged
from tests.inference.trained import trained_model
from tests.refusals import assert_refused

LOCALIZE, CLASSIFY = (declared("tasks", name, Task) for name in ("localize", "classify"))


def predictor(workdir: Path) -> tuple[Predict, Any]:
    """The best model of a run as a predictor, and the config of the run."""
    trained = load_model(find_bundle(workdir, "best"), mesh.make_mesh())
    compiled = predict.compiled_predict(trained.module, trained.task, trained.devices, np.float32)
    return predict.model_predict(trained.variables, compiled, trained.devices), trained.config


def test_as_many_rows_as_examples_and_the_same_answers_for_any_batch_size(tiny_run: Path) -> None:
    one_by_one, config = predictor(tiny_run)
    validation = build.make_source(config.data, "validation", 0)
    tables = {
        size: predict.predict_rows(
            {"model": one_by_one},
            validation,
            LOCALIZE,
            "validation",
            batch_size=size,
            spec=InputSpec((64, 64, 1)),
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
    validation = build.make_source(config.data, "validation", 0)
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

    assert_refused(
        lambda: predict.predict_rows(
            {"a": lambda batch: {"logits": np.zeros((2, 2))}},
            Damaged(),
            CLASSIFY,
            "test",
            batch_size=2,
            spec=InputSpec((4, 4, 1)),
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
    rows = predict.predict_rows(answers, Counted(), CLASSIFY, "test", batch_size=2, spec=InputSpec((4, 4, 1)), threads=1)
    assert read == [0, 1, 2, 3, 4]
    assert [[row["id"] for row in rows[name]] for name in "ab"] == [["0", "1", "2", "3", "4"]] * 2
    assert [row["top_labels"][0] for row in rows["b"]] == [1] * 5


@pytest.mark.parametrize("bad", [(), (2, 3), (0, 9)])
def test_images_that_cannot_be_decoded_have_no_row_and_cost_no_other_its_picture(bad: tuple[int, ...], tmp_path: Path) -> None:
    def right(batch: Batch) -> Outputs:
        return {"logits": 3 * np.eye(2, dtype=np.float32)[batch.label_b], "box": batch.boxes_bxnx4[:, 0]}

    source, run = Damaged(10, bad=bad, name=f"rows{len(bad)}"), run_dir.RunDir(tmp_path)
    options: dict[str, Any] = {"batch_size": 4, "spec": InputSpec((16, 16, 1)), "threads": 2}
    rows = predict.predict_rows({"model": right}, source, LOCALIZE, "test", **options)["model"]
    assert [int(row["id"]) for row in rows] == [i for i in range(10) if i not in bad]
    assert all(row["top_labels"][0] == row["label"] == int(row["id"]) % 2 for row in rows)
    write_gallery(run, Target("test", source), trained_model(None, InputSpec((16, 16, 1)), ("a", "b"), variables={}), {}, set(), rows, 10)
    for row in rows:
        level = int(np.asarray(Image.open(run.thumbnail("test", row["id"])))[0, 0].max())
        assert level == int(row["id"]), "the picture is that of its row"
    assert len(list(run.thumbnails("test").iterdir())) == len(rows)
    nothing = Damaged(10, bad=tuple(range(10)), name="no rows")
    assert_refused(lambda: predict.predict_rows({"model": right}, nothing, LOCALIZE, "test", **options), "can be decoded")
