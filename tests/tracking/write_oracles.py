"""Writes trackeval.json: random tracks, and what TrackEval counts on them.

    python -m venv oracle && oracle/bin/pip install trackeval==1.3.0
    oracle/bin/python tests/tracking/write_oracles.py

With a folder of TUD-Campus as an argument (gt.txt and test.txt of the package motmetrics 1.4.0), it also prints the numbers of these.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from trackeval.datasets._base_dataset import _BaseDataset
from trackeval.metrics import CLEAR, HOTA, Identity

METRICS = {
    "CLEAR": (CLEAR, ("MOTA", "CLR_TP", "CLR_FP", "CLR_FN", "IDSW")),
    "Identity": (Identity, ("IDF1", "IDTP", "IDFP", "IDFN")),
    "HOTA": (HOTA, ("HOTA", "HOTA_TP", "HOTA_FP", "HOTA_FN", "AssA", "DetA")),
}


def random_video(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """True (n, t, 4) and predicted (m, t, 4) tracks: noisy copies with gaps, swapped identities and inventions; NaN without a box."""
    n, t = int(rng.integers(1, 6)), int(rng.integers(5, 40))
    low = np.cumsum(rng.normal(0, 1.5, (n, t, 2)), axis=1) + rng.uniform(0, 60, (n, 1, 2))
    truth = np.concatenate([low, low + rng.uniform(10, 25, (n, 1, 2))], axis=-1)
    found = truth + rng.normal(0, rng.uniform(0, 4), truth.shape)
    if n > 1 and rng.random() < 0.7:
        found[:2, t // 2 :] = found[1::-1, t // 2 :]
    invented = np.array([10.0, 10.0, 30.0, 30.0]) + rng.normal(0, 2, (int(rng.integers(0, 3)), t, 4))
    found = np.concatenate([found, invented])[rng.permutation(n + len(invented))]
    truth[rng.random((n, t)) < 0.1] = np.nan
    found[rng.random(found.shape[:2]) < 0.2] = np.nan
    return np.round(truth, 3), np.round(found, 3)


def trackeval_data(truth: np.ndarray, found: np.ndarray) -> dict[str, object]:
    """What TrackEval reads of a video; identities without any box are left out, as it requires."""
    truth, found = (each[~np.isnan(each[..., 0]).all(axis=1)] for each in (truth, found))
    ids, similarities = {"gt": [], "tracker": []}, []
    for k in range(truth.shape[1]):
        here, there = (np.flatnonzero(~np.isnan(each[:, k, 0])) for each in (truth, found))
        ids["gt"].append(here)
        ids["tracker"].append(there)
        similarities.append(_BaseDataset._calculate_box_ious(truth[here, k], found[there, k], box_format="x0y0x1y1"))
    return {
        "gt_ids": ids["gt"], "tracker_ids": ids["tracker"], "similarity_scores": similarities, "num_timesteps": truth.shape[1],
        "num_gt_ids": len(truth), "num_tracker_ids": len(found),
        "num_gt_dets": sum(map(len, ids["gt"])), "num_tracker_dets": sum(map(len, ids["tracker"])),
    }  # fmt: skip


def evaluate(videos: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, object]:
    """TrackEval's numbers of each video and of all together."""
    numbers: dict[str, dict[str, object]] = {"videos": [{} for _ in videos], "combined": {}}
    for name, (kind, fields) in METRICS.items():
        with contextlib.redirect_stdout(io.StringIO()):
            metric = kind()
            own = {str(k): metric.eval_sequence(trackeval_data(*video)) for k, video in enumerate(videos)}
            combined = metric.combine_sequences(own)
        for place, each in [*((numbers["videos"][int(k)], v) for k, v in own.items()), (numbers["combined"], combined)]:
            place[name] = {field: np.asarray(each[field], float).tolist() for field in fields}
    return numbers


def read_mot(path: Path) -> np.ndarray:
    """The tracks (n, t, 4) of a MOTChallenge text file."""
    table = np.loadtxt(path, delimiter=",", ndmin=2)[:, :6]
    identities = np.unique(table[:, 1])
    tracks = np.full((len(identities), int(table[:, 0].max()), 4), np.nan)
    for frame, identity, x, y, w, h in table:
        tracks[np.searchsorted(identities, identity), int(frame) - 1] = x, y, x + w, y + h
    return tracks


def as_json(tracks: np.ndarray) -> list[object]:
    return [[None if np.isnan(box[0]) else box.tolist() for box in track] for track in tracks]


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    videos = [random_video(rng) for _ in range(6)]
    content = {"truth": [as_json(a) for a, _ in videos], "found": [as_json(b) for _, b in videos], **evaluate(videos)}
    Path(__file__).with_name("trackeval.json").write_text(json.dumps(content))
    if len(sys.argv) > 1:
        truth, found = (read_mot(Path(sys.argv[1]) / name) for name in ("gt.txt", "test.txt"))
        frames = max(truth.shape[1], found.shape[1])
        padded = [np.concatenate([e, np.full((len(e), frames - e.shape[1], 4), np.nan)], axis=1) for e in (truth, found)]
        print(json.dumps(evaluate([tuple(padded)])["combined"]))
