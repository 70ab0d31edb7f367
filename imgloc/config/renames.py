"""Config keys and values of earlier versions with their current names, for error messages; to be deleted with version 1.0."""

from __future__ import annotations

from collections.abc import Iterable

from imgloc import errors
from imgloc.errors import UserError

KEYS = {
    "data.fit": "data.resize",
    "train.accumulate": "train.grad_accum_steps",
    "eval.resamples": "eval.bootstrap_samples",
    "data.options.train_boxed": "data.options.train_box_fraction",
    "losses.place": "losses.location_supervision",
    "losses.reinforce.trace": "losses.reinforce.gae_lambda",
    "losses.reinforce.baseline": "losses.reinforce.value_weight",
    "model.deviation": "model.location_std",
    "model.draws": "model.num_rollouts",
    "model.sensed": "model.glimpse_hidden",
    "model.trunk": "model.backbone",
    "model.looks": "model.num_passes",
    "model.sweeps": "model.renet_units",
    "model.patches": "model.renet_patches",
    "model.read": "model.scan_order",
    "model.permutation": "model.permutation_seed",
    "model.summary": "model.pooling",
    "model.cell.draw": "model.cell.kernel_init",
    "model.cell.looks": "model.cell.num_passes",
    "model.cell.input_deviation": "model.cell.input_std",
    "model.cell.input_map": "model.cell.input_projection",
    "model.cell.states": "model.cell.state_size",
}
NAMES = {
    "task": {"locate": "localize", "read": "read_sequence"},
    "model": {"seed_cnn": "three_layer_cnn"},
    "loss": {"place": "location_supervision"},
    "metric (train.best_metric)": {
        **{f"gt_known_{t}": f"gt_known_loc_{t}" for t in (30, 50, 70)},
        "last_look_hit": "pointing_accuracy",
        "last_look_iou": "last_fixation_iou",
        "look_hits": "fixation_accuracy",
        "sequence_right": "sequence_accuracy",
        "labels_right": "label_accuracy",
    },
}


def unknown_name(what: str, got: str, possible: Iterable[str]) -> UserError:
    """An error for a name that does not exist: the new name where it was renamed, else the nearest right one and all others."""
    renamed = KEYS.get(got) if what == "config key" else NAMES.get(what, {}).get(got)
    return UserError(f"unknown {what} '{got}'; it was renamed to '{renamed}'") if renamed else errors.unknown(what, got, possible)
