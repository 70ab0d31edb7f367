"""ReNet on MNIST: each layer scans the digits in four directions, in place of convolution and pooling; then a dense layer and a softmax.

    imgloc train --config configs/renet_mnist.py --workdir runs/renet --config.data.options.folder=FOLDER

As in the paper (Visin et al., 2015, arXiv:1505.00393: 0.5 % error), two layers of GRUs read patches of 2x2, digits are shifted by up
to 2 pixels, and the optimizer is Adam. For a CPU the network is narrower (64 units instead of 256, a dense layer of 256 instead of
4096), and training has a cosine schedule, warmup and clipping. FOLDER contains MNIST's four idx files. Training ends by printing the
accuracy of the last step's model on the 10,000 test digits.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    shift = {"translate": 2 / 28, "scale": 0.0, "flip": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0}
    config.data.augment.update(name="light", **shift)
    config.model.update(name="localizer", backbone="renet", locate=False, pooling="flatten")
    config.model.update(renet_units=(64, 64), renet_patches=(2, 2), hidden=256, dropout=0.2)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.optim.lr = 2e-3
    config.optim.warmup_steps = 200
    config.optim.clip_norm = 1.0
    config.train.epochs = 5.0
    config.train.batch_size = 64
    config.train.eval_every = 430  # steps: half an epoch
    config.train.save_every = 430
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
