"""The works, and their selection by name."""

from __future__ import annotations

import pytest

from benchmarks import works
from imgloc.config import registry
from imgloc.errors import UserError


def test_names_are_unique_and_those_of_forward_passes_include_the_batch_size() -> None:
    for group, members in works.WORKS.items():
        known = [work.name for work in members]
        assert len(set(known)) == len(known), group
        assert all(work.train or work.name.endswith(f"_b{work.batch}") for work in members)
    assert {work.batch for work in works.INFER} == {1, 8}
    assert not any(work.train for work in works.INFER)


def test_selected_names_keep_their_order_and_an_empty_selection_is_everything() -> None:
    assert works.select_names("setting", "", works.SETTINGS) == ["box", "tuned"]
    assert works.select_names("setting", "tuned,box,tuned", works.SETTINGS) == ["box", "tuned"]
    assert works.select_names("setting", " tuned ,", works.SETTINGS) == ["tuned"]


@pytest.mark.parametrize(
    ("what", "names", "possible", "expected"),
    [
        ("work", "lstm28", [w.name for w in works.STEP], "unknown work 'lstm28'; did you mean 'lstm_28'"),
        ("implementation", "imgloc,pytorch_eager", list(works.IMPLEMENTATIONS), "did you mean 'torch_eager'"),
        ("setting", "boxed", list(works.SETTINGS), "did you mean 'box'? possible: box, tuned"),
    ],
)
def test_an_unknown_name_is_refused_with_the_possible_ones(what: str, names: str, possible: list[str], expected: str) -> None:
    with pytest.raises(UserError) as error:
        works.select_names(what, names, possible)
    assert expected in str(error.value)


def test_works_for_accelerators_are_left_out_on_a_cpu_and_refused_by_name() -> None:
    assert works.RESNET50 not in works.for_platform(works.STEP, "cpu", named=False)
    assert works.RESNET50 in works.for_platform(works.STEP, "gpu", named=True)
    assert works.for_platform((works.LSTM,), "cpu", named=True) == [works.LSTM]
    with pytest.raises(UserError, match="'resnet50_224' is timed only on an accelerator"):
        works.for_platform(works.STEP, "cpu", named=True)


def test_every_cell_is_timed_in_every_library_that_has_it() -> None:
    cells = {work.cell for work in works.CELLS}
    assert cells == set(registry.names("nn.cells"))
    for order in ("rows", "pixels"):
        assert {work.cell for work in works.CELLS if work.order == order} == cells - {"conv_lstm"}
    libraries = ("imgloc", "linen", "torch_eager", "keras")
    missing = {library: {work.cell for work in works.CELLS if works.unavailable(work, library)} for library in libraries}
    assert missing == {
        "imgloc": set(), "linen": {"lru"},
        "torch_eager": {"lru", "minimal_gru", "conv_lstm"},
        "keras": {"lru", "minimal_gru"},
    }  # fmt: skip
    assert not any(works.unavailable(works.LSTM, side) for side in works.IMPLEMENTATIONS)


def test_a_work_is_found_only_in_its_group() -> None:
    assert works.find_work("step", "lstm_28").train
    with pytest.raises(UserError, match="unknown work 'lstm_28'; did you mean 'lstm_28_b"):
        works.find_work("infer", "lstm_28")


def test_recurrent_attention_is_timed_only_beside_pytorch() -> None:
    for work in (works.RAM_MNIST, works.RAM_CLUTTERED):
        timed = [side for side in works.IMPLEMENTATIONS if works.is_distinct(work, side) and not works.unavailable(work, side)]
        assert timed == ["imgloc", "torch_eager", "torch_compiled"]
        assert works.unavailable(work, "keras") == works.unavailable(work, "keras_inner") == "has no such model"
