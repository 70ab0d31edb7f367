"""The seed's CNN program: ImageNet's 1,000 classes from 224x224 pixels, by three convolutions and a dense layer.

    imgloc train --config configs/three_layer_cnn_imagenet.py --workdir runs/seed_imagenet

As published: Adam as Keras has it, categorical cross-entropy, batches of 32, 10 epochs; accuracy printed at the end.
It is that of the last step's model on TFDS's `validation`, the 50,000 images whose labels are known (`test` has none);
1 % of `train` is kept for the validation curve. TFDS must have prepared `imagenet2012` (`imgloc data prepare imagenet2012`), in
its default folder or in --config.data.options.folder=FOLDER. On a GPU: --config.data.workers=16 --config.train.dtype=bfloat16.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "tfds"
    config.data.options.name = "imagenet2012"
    config.data.image_size = (224, 224)
    config.data.threads = 2
    config.model.update(name="three_layer_cnn", locate=False)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.optim.schedule = "constant"
    config.optim.eps = 1e-7
    config.train.epochs = 10.0
    config.train.batch_size = 32
    config.train.eval_every = 39_637  # steps: an epoch
    config.train.save_every = 2_000
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
