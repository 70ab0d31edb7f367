"""The three-layer CNN on ImageNet: 1,000 classes, 224x224 pixels.

    imgloc train --config configs/three_layer_cnn_imagenet.py --workdir runs/three_layer_cnn_imagenet

Trained like the published Keras program: Adam with Keras's defaults, categorical cross-entropy, batches of 32, 10 epochs. Training ends by
printing the accuracy of the last step on TFDS's `validation` split of 50,000 images, because the labels of `test` are not public; 1 % of
`train` is held out for the validation curve. Prepare `imagenet2012` first (`imgloc data prepare imagenet2012`), in the default folder of
TFDS or in --config.data.options.folder=FOLDER. On a GPU add --config.data.workers=16 --config.train.dtype=bfloat16.
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
    config.train.eval_every = 39_637  # steps: one epoch
    config.train.save_every = 2_000
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
