"""The seed's CNN on MNIST's digits of 28 pixels: three convolutions with pooling, dense 512, a softmax of 10.

    imgloc train --config configs/seed_cnn_mnist.py --workdir runs/seed_cnn --config.data.options.folder=FOLDER

Trained as the seed's programs are: Adam as Keras has it, categorical cross-entropy, batches of 32, 10 epochs; test
accuracy of the last step's model printed at the end (98.6 to 98.7 %, see experiments/seed_programs). FOLDER holds MNIST's four idx files.
"""

from ml_collections import ConfigDict

from imgloc.config import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="seed_cnn", locate=False)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.optim.schedule = "constant"
    config.optim.eps = 1e-7
    config.train.epochs = 10.0
    config.train.batch_size = 32
    config.train.eval_every = 1720  # steps: about an epoch
    config.train.save_every = 1720
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
