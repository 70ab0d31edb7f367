"""A loss that is not finite: training stops at that step, saves its batch and keeps the last good checkpoint."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from imgloc.config.recipes import read_recipe
from imgloc.config.resolve import resolve
from imgloc.data.batches.collate import collate
from imgloc.data.batches.sampler import IndexSampler
from imgloc.losses import box_l1
from imgloc.runs import run_dir
from imgloc.runs.metrics_log import read_metrics
from imgloc.training import loop, non_finite, setup, step
from imgloc.training.metric_queue import NonFiniteError
from imgloc.training.preemption import StopRequest
from tests import processes

BAD = 23  # a step that is neither logged, evaluated nor saved


def tiny_config(*overrides: str) -> Any:
    recipe = read_recipe("configs/digits_lstm.py")
    return resolve(recipe, [*processes.TINY[1:], "--config.train.eval_every=0", *overrides])


@pytest.mark.parametrize(("per_call", "log_every"), [(1, 10), (4, 1000)])
def test_training_stops_at_the_very_step_and_keeps_its_batch(
    per_call: int, log_every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss of one batch is NaN, at a step between those that are checked."""
    settings = tiny_config(f"--config.train.steps_per_call={per_call}", f"--config.train.log_every={log_every}")
    training_setup = setup.set_up(settings)
    sampler = IndexSampler(training_setup.train, settings.seed, 16, BAD - 1, BAD)
    batch = collate([sampler.example(sampler.number(i)) for i in range(16)], 16, training_setup.spec)
    finite_loss = box_l1.LOSS

    def nan_loss(outputs: Any, seen: Any, *, output: str = "box") -> Any:
        return jnp.where((seen.boxes_bxnx4 == batch.boxes_bxnx4).all(), jnp.nan, box_l1.loss(outputs, seen, output=output))

    monkeypatch.setattr(box_l1, "LOSS", dataclasses.replace(finite_loss, function=nan_loss))
    run = run_dir.RunDir(tmp_path / "run")
    with pytest.raises(NonFiniteError) as caught:
        loop.train(settings, str(run.path), stop=StopRequest())
    message = str(caught.value)
    assert f"loss is nan at step {BAD}, the first" in message
    assert f"numpy.load('{run.not_finite(BAD)}')" in message
    assert "the checkpoint of step 20 is intact" in message
    assert "lower optim.lr" in message
    assert "\n" not in message

    with np.load(run.not_finite(BAD)) as saved:
        arrays = {name: array for name, array in batch._asdict().items() if array is not None}
        assert set(saved) == {*arrays, "ids"}
        for name, array in arrays.items():
            np.testing.assert_array_equal(saved[name], array)
        assert saved["ids"].tolist() == [sampler.example(sampler.number(i)).id for i in range(16)]
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["20"]
    assert [record["step"] for record in read_metrics(run.metrics)] == ([10, 20] if log_every == 10 else [])
    assert not run.finished.exists()

    if per_call > 1:
        return
    monkeypatch.setattr(box_l1, "LOSS", finite_loss)
    assert loop.train(settings, str(run.path), stop=StopRequest()) == "finished"  # from the last good checkpoint


def test_parameters_that_are_not_finite_are_refused_although_the_loss_was() -> None:
    """Moving averages and model state are refused too; integers and the optimizer state are not checked."""
    blank: dict[str, Any] = {"seed": jnp.uint32(0), "opt_state": {"a": jnp.full(2, jnp.nan)}}
    sound = {"a": jnp.ones((2, 2)), "count": jnp.int32(3)}
    broken = {"a": sound["a"].at[1, 0].set(jnp.inf)}
    all_finite = jax.jit(step.all_finite)
    non_finite.check_finite(all_finite, step.TrainState(step=jnp.int32(30), params=sound, model_state={}, ema=(), **blank))
    for params, model_state, ema in ((broken, {}, ()), (sound, broken, ()), (sound, {}, (broken, {}))):
        state = step.TrainState(step=jnp.int32(30), params=params, model_state=model_state, ema=ema, **blank)
        with pytest.raises(NonFiniteError, match="parameters are not finite after step 30"):
            non_finite.check_finite(all_finite, state)
