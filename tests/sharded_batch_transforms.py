"""Prints what each batch transform makes of a batch that is spread over all devices, as JSON: python -m tests.sharded_batch_transforms."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import jax
import numpy as np

from imgloc.config import build, registry
from imgloc.devices import mesh
from tests.drawn_batches import CLASSES, random_batch


def checksums() -> dict[str, dict[str, Any]]:
    """For each transform: a hash of the images, the boxes and the soft labels."""
    batch = mesh.put_batch(random_batch(0, valid=7, size=8), mesh.make_mesh())
    results = {}
    for name in registry.names("data.batch_transforms"):
        (transform,) = build.make_batch_transforms([{"name": name}], CLASSES)
        result = jax.jit(transform)(batch, jax.random.key(0))
        soft = result.soft_label_bxk
        results[name] = {
            "images": hashlib.sha256(np.asarray(result.images_bxhxwxc).tobytes()).hexdigest(),
            "boxes": np.asarray(result.boxes_bxnx4).tolist(),
            "soft_labels": [] if soft is None else np.asarray(soft).tolist(),
        }
    return results


if __name__ == "__main__":
    assert len(jax.devices()) > 1
    print(json.dumps(checksums()))
