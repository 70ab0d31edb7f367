"""The functions that are timed for imgloc."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from benchmarks import jax_side, works

TINY = dataclasses.replace(works.LSTM, steps_per_call=1, batch=4, size=8)


def test_batches_have_a_work_s_shapes_and_are_deterministic() -> None:
    batch = jax_side.make_batch(works.DIGITS)
    assert batch.images_bxhxwxc.shape == (64, 64, 64, 1)
    assert batch.images_bxhxwxc.dtype == np.uint8
    assert set(batch.label_b) == set(range(10))
    np.testing.assert_array_equal(batch.images_bxhxwxc, jax_side.make_batch(works.DIGITS).images_bxhxwxc)
    assert (batch.images_bxhxwxc != jax_side.make_batch(works.DIGITS, seed=1).images_bxhxwxc).any()


def test_prepared_works_run_and_report_parameters_and_steps() -> None:
    for work in (TINY, dataclasses.replace(TINY, steps_per_call=2), dataclasses.replace(TINY, train=False)):
        prepared = jax_side.make(work, platform="cpu", tuned=True)
        prepared.run(2)
        assert prepared.parameters == 4 * 50 * (8 + 50 + 1) + 50 * 10 + 10
        assert prepared.steps_per_call == work.steps_per_call


def test_a_recurrence_reads_rows_pixels_or_maps() -> None:
    kernels = {"lstm_rows": (28, 4 * 128), "lstm_pixels": (1, 4 * 100), "conv_lstm_maps": (3, 3, 1, 4 * 16)}
    for name, shape in kernels.items():
        work = works.find_work("cells", name)
        init, one_step = jax_side.train_functions(work, "cpu")
        state = jax.eval_shape(init, 0)
        assert state.params["cell"]["kernel"].shape == shape
        assert jax.eval_shape(one_step, state, jax_side.make_batch(work))[1]["loss"].shape == ()


def test_an_accelerator_computes_in_bfloat16() -> None:
    init, one_step = jax_side.train_functions(TINY, "gpu")
    assert "bf16" in str(jax.make_jaxpr(one_step)(jax.eval_shape(init, 0), jax_side.make_batch(TINY)))
    init, one_step = jax_side.train_functions(TINY, "cpu")
    assert "bf16" not in str(jax.make_jaxpr(one_step)(jax.eval_shape(init, 0), jax_side.make_batch(TINY)))


def test_recurrent_attention_has_both_of_its_losses() -> None:
    init, one_step = jax_side.train_functions(works.RAM_CLUTTERED, "cpu")
    state = jax.eval_shape(init, 0)
    assert state.params["network"]["what"]["kernel"].shape == (3 * 12 * 12, 128)
    metrics = jax.eval_shape(one_step, state, jax_side.make_batch(works.RAM_CLUTTERED))[1]
    assert {"loss/cross_entropy", "loss/reinforce"} <= set(metrics)
