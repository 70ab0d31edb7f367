"""The published Keras program: LSTM(50) with relu reads the 28 rows of an MNIST digit, followed by a softmax of 10 classes.

    imgloc train --config configs/row_lstm_mnist.py --workdir runs/row_lstm --config.data.options.folder=FOLDER
    imgloc train --config configs/row_lstm_mnist.py --workdir runs/elman --config.model.cell.name=elman --config.model.cell.activation=relu

As published: Keras's Adam, categorical cross-entropy, batches of 32, 10 epochs. Training ends by printing the accuracy of the last
step's model on MNIST's 10,000 test digits (97.6 to 98.3 % over three seeds, see experiments/published_programs). 5,000 of the 60,000
training digits are held out for the validation curve. FOLDER contains MNIST's four idx files; --config.data.options.digits=tfds reads
them from TFDS instead.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="sequence", cell={"name": "lstm", "activation": "relu", "kernel_init": "joint"}, features=50)
    config.losses.cross_entropy = ConfigDict({"weight": 1.0})
    config.optim.schedule = "constant"
    config.optim.eps = 1e-7
    config.train.epochs = 10.0
    config.train.batch_size = 32
    config.train.steps_per_call = 10  # a step takes about a millisecond
    config.train.eval_every = 1720  # steps: about an epoch
    config.train.save_every = 1720
    config.train.best_metric = "top1"
    config.eval.after_training = "test@last"
    return config
