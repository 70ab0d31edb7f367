from __future__ import annotations

import numpy as np

from imgloc.data.augmentations import light
from imgloc.data.batches import pipeline, preview
from imgloc.data.batches.sampler import IndexSampler
from imgloc.data.sources import scattered_digits
from imgloc.types import Augmentation, InputSpec


def test_random_examples_are_a_function_of_the_seed() -> None:
    source = scattered_digits.source("validation", seed=0)
    ids = [[example.id for example in preview.random_examples(source, 9, seed=seed, at_least=(64, 64))] for seed in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]
    assert len(set(ids[0])) == 9


def test_training_examples_are_those_of_the_first_batch() -> None:
    source = scattered_digits.source("train", seed=0)
    spec = InputSpec((48, 48, 1), 1)
    augmentation = Augmentation(lambda example, random: light.augment(example, random, size=(48, 48)))
    examples = list(preview.training_examples(source, 5, seed=3, spec=spec, augmentation=augmentation))
    batch = pipeline.BatchDataset(IndexSampler(source, seed=3, batch_size=5, start_step=0, stop_step=1), spec, augmentation)[0]
    np.testing.assert_array_equal(np.stack([example.image_hxwxc for example in examples]), batch.images_bxhxwxc)
    np.testing.assert_array_equal([example.boxes_nx4[0] for example in examples], batch.boxes_bxnx4[:, 0])
