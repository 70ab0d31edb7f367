"""Folders of sweeps with artificial results: sweep.json, and logs of runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imgloc import files
from imgloc.evaluation.statistics import t_interval


def write_sweep(
    folder: Path, points: Sequence[Mapping[str, Any]], scores: Sequence[float | str | None], *, split: str = "validation"
) -> Path:
    """Write a sweep of points (overrides) whose score is a number, the error of a failed point, or None for an unfinished one."""
    entries: list[dict[str, Any]] = []
    groups: dict[str, list[int]] = {}
    for number, (overrides, score) in enumerate(zip(points, scores, strict=True)):
        name = ",".join(f"{key.rpartition('.')[2]}={value}" for key, value in overrides.items()) or "recipe"
        entry: dict[str, Any] = {"name": name, "overrides": dict(overrides)}
        if isinstance(score, str):
            entry |= {"state": "failed", "error": score}
        elif score is None:
            entry["state"] = "unfinished"
        else:
            entry |= {"state": "finished", "run": name, "metrics": {"top1": min(1.0, score + 0.05), "top1_loc_50": score}}
            steps = range(100, 601, 100)
            records = [{"step": s, "kind": "validation", "top1_loc_50": score * (1 - 0.8 * float(np.exp(-s / 150)))} for s in steps]
            files.write_text(folder / name / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records))
            interval = {"mean": score, "low": max(0.0, score - 0.02), "high": min(1.0, score + 0.02), "n": 500}
            files.write_json(folder / name / "results.json", {split: {"top1_loc_50": interval}})
        entries.append(entry)
        groups.setdefault(json.dumps({key: value for key, value in overrides.items() if key != "seed"}), []).append(number)
    summary = {"split": split, "points": entries, "groups": [_group(key, [entries[i] for i in own]) for key, own in groups.items()]}
    files.write_json(folder / "sweep.json", summary)
    return folder


def _group(key: str, members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    scored = [member for member in members if "metrics" in member]
    metrics: dict[str, Any] = {}
    for name in ("top1", "top1_loc_50") if scored else ():
        values = [member["metrics"][name] for member in scored]
        metrics[name] = {"mean": values[0], "low": None, "high": None, "n": 1}
        if len(values) > 1:
            interval = t_interval(values)
            metrics[name] = {"mean": interval.mean, "low": interval.low, "high": interval.high, "n": interval.n}
    seeds = [member["overrides"].get("seed", 0) for member in scored]
    return {"overrides": json.loads(key), "headline_metrics": ["top1", "top1_loc_50"], "best_metric": "top1_loc_50", "seeds": seeds,
            "points": len(members), "metrics": metrics}  # fmt: skip


def some_sweep(folder: Path, *, split: str = "validation") -> Path:
    """Write a sweep over learning rates, cells and seeds, with a failed and an unfinished point."""
    rng = np.random.default_rng(0)
    points, scores = [], []
    for lr in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2):
        for cell in ("lstm", "gru"):
            for seed in range(2):
                points.append({"optim.lr": lr, "model.cell": cell, "optim.weight_decay": 0.01, "seed": seed})
                scores.append(float(0.9 - 0.12 * abs(np.log10(lr / 3e-3)) ** 2 - 0.06 * (cell == "gru") + rng.normal(0, 0.015)))
    failed: list[float | str | None] = [*scores]
    failed[-1] = "the loss is nan at step 120, the first that is not finite"
    failed[-2] = None
    return write_sweep(folder, points, failed, split=split)
