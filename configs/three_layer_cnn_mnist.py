"""The three-layer CNN on MNIST (28x28): three convolutions with pooling, 512 dense units and a softmax over 10 classes.

    imgloc train --config configs/three_layer_cnn_mnist.py --workdir runs/three_layer_cnn --config.data.options.folder=FOLDER

Trained like the published Keras program: Adam with Keras's defaults, categorical cross-entropy, batches of 32, 10 epochs. Training ends by
printing the test accuracy of the last step (98.6 to 98.7 %, see experiments/published_programs). FOLDER holds the four idx files of MNIST.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="three_layer_cnn", locate=False)
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
