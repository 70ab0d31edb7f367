"""The works, and what can be chosen of them."""

from __future__ import annotations

import pytest

from benchmarks import works
from imgloc.config import registry
from imgloc.errors import UserError


def test_names_tell_works_apart_and_forward_passes_say_their_batch() -> None:
    for group, members in works.WORKS.items():
        known = [work.name for work in members]
        assert len(set(known)) == len(known), group
        assert all(work.train or work.name.endswith(f"_b{work.batch}") for work in members)
    assert {work.batch for work in works.INFER} == {1, 8}
    assert not any(work.train for work in works.INFER)


def test_choosing_keeps_the_order_and_nothing_chosen_is_everything() -> None:
    assert works.chosen("setting", "", works.SETTINGS) == ["box", "tuned"]
    assert works.chosen("setting", "tuned,box,tuned", works.SETTINGS) == ["box", "tuned"]
    assert works.chosen("setting", " tuned ,", works.SETTINGS) == ["tuned"]


@pytest.mark.parametrize(
    ("what", "wanted", "possible", "expected"),
    [
        ("work", "lstm28", [w.name for w in works.STEP], "unknown work 'lstm28'; did you mean 'lstm_28'"),
        ("implementation", "imgloc,pytorch_eager", list(works.IMPLEMENTATIONS), "did you mean 'torch_eager'"),
        ("setting", "boxed", list(works.SETTINGS), "did you mean 'box'? possible: box, tuned"),
    ],
)
def test_an_unknown_name_is_refused_with_the_possible_ones(what: str, wanted: str, possible: list[str], expected: str) -> None:
    with pytest.raises(UserError) as error:
        works.chosen(what, wanted, possible)
    assert expected in str(error.value)


def test_what_is_too_slow_for_a_cpu_is_left_out_there_and_refused_where_it_is_named() -> None:
    assert works.RESNET50 not in works.for_platform(works.STEP, "cpu", named=False)
    assert works.RESNET50 in works.for_platform(works.STEP, "gpu", named=True)
    assert works.for_platform((works.LSTM,), "cpu", named=True) == [works.LSTM]
    with pytest.raises(UserError, match="'resnet50_224' is timed on an accelerator alone"):
        works.for_platform(works.STEP, "cpu", named=True)


def test_every_cell_is_timed_over_rows_and_pixels_where_there_is_such_a_cell() -> None:
    cells = {work.cell.partition("(")[0] for work in works.CELLS}
    assert cells == set(registry.names("nn.cells"))
    for order in ("rows", "pixels"):
        assert {work.cell.partition("(")[0] for work in works.CELLS if work.order == order} == cells - {"conv_lstm"}
    sides = ("imgloc", "linen", "torch_eager", "keras")
    lacking = {side: {work.cell for work in works.CELLS if works.lack(work, side)} for side in sides}
    assert lacking == {
        "imgloc": set(), "linen": {"lru", "lru(form=associative)"},
        "torch_eager": {"lru", "lru(form=associative)", "minimal_gru", "conv_lstm"},
        "keras": {"lru", "lru(form=associative)", "minimal_gru"},
    }  # fmt: skip
    assert not any(works.lack(works.LSTM, side) for side in works.IMPLEMENTATIONS)


def test_a_work_is_found_in_its_group_alone() -> None:
    assert works.find_work("step", "lstm_28").train
    with pytest.raises(UserError, match="unknown work 'lstm_28'; did you mean 'lstm_28_b"):
        works.find_work("infer", "lstm_28")


def test_recurrent_attention_is_timed_beside_pytorch_alone() -> None:
    for work in (works.RAM_MNIST, works.RAM_CLUTTERED):
        timed = [side for side in works.IMPLEMENTATIONS if works.is_another(work, side) and not works.lack(work, side)]
        assert timed == ["imgloc", "torch_eager", "torch_compiled"]
        assert works.lack(work, "keras") == works.lack(work, "keras_inner") == "is not written in it"
