"""A loss that blows up: the exact step, its batch, and the last good checkpoint."""

from __future__ import annotations

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

BAD = 23  # no step that is logged, evaluated or saved


def tiny_config(*overrides: str) -> Any:
    recipe = read_recipe("configs/digits_lstm.py")
    return resolve(recipe, [*processes.TINY[1:], "--config.train.eval_every=0", *overrides])


@pytest.mark.parametrize(("per_call", "log_every"), [(1, 10), (4, 1000)])
def test_training_stops_at_the_very_step_and_keeps_its_batch(
    per_call: int, log_every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loss is made not a number for the batch of one step, which lies between those that are looked at."""
    settings = tiny_config(f"--config.train.steps_per_call={per_call}", f"--config.train.log_every={log_every}")
    parts = setup.set_up(settings)
    order = IndexSampler(parts.train, settings.seed, 16, BAD - 1, BAD)
    batch = collate([order.example(order.number(i)) for i in range(16)], 16, parts.view)
    honest = box_l1.loss

    def wild(outputs: Any, seen: Any, *, output: str = "box") -> Any:
        return jnp.where((seen.boxes_bxnx4 == batch.boxes_bxnx4).all(), jnp.nan, honest(outputs, seen, output=output))

    monkeypatch.setattr(box_l1, "loss", wild)
    run = run_dir.RunDir(tmp_path / "run")
    with pytest.raises(NonFiniteError) as caught:
        loop.train(settings, str(run.path), stop=StopRequest())
    told = str(caught.value)
    assert f"loss is nan at step {BAD}, the first" in told
    assert f"numpy.load('{run.not_finite(BAD)}')" in told
    assert "the checkpoint of step 20 is intact" in told
    assert "lower optim.lr" in told
    assert "\n" not in told

    with np.load(run.not_finite(BAD)) as kept:
        for name, array in batch._asdict().items():
            np.testing.assert_array_equal(kept[name], array)
        assert kept["ids"].tolist() == [order.example(order.number(i)).id for i in range(16)]
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["20"]
    assert [record["step"] for record in read_metrics(run.metrics)] == ([10, 20] if log_every == 10 else [])
    assert not run.finished.exists()

    if per_call > 1:
        return
    monkeypatch.setattr(box_l1, "loss", honest)
    assert loop.train(settings, str(run.path), stop=StopRequest()) == "finished"  # the checkpoint is a good one


def test_parameters_that_are_no_numbers_are_not_saved_though_the_loss_was_one() -> None:
    """Nor averages and statistics; whole numbers and the optimizer's own are not looked at."""
    blank: dict[str, Any] = {"seed": jnp.uint32(0), "opt_state": {"a": jnp.full(2, jnp.nan)}}
    sound = {"a": jnp.ones((2, 2)), "count": jnp.int32(3)}
    broken = {"a": sound["a"].at[1, 0].set(jnp.inf)}
    is_finite = jax.jit(step.all_finite)
    non_finite.check_finite(is_finite, step.TrainState(step=jnp.int32(30), params=sound, model_state={}, ema=(), **blank))
    for params, model_state, ema in ((broken, {}, ()), (sound, broken, ()), (sound, {}, (broken, {}))):
        state = step.TrainState(step=jnp.int32(30), params=params, model_state=model_state, ema=ema, **blank)
        with pytest.raises(NonFiniteError, match="parameters are not finite after step 30"):
            non_finite.check_finite(is_finite, state)
