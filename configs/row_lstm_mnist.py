"""The seed's LSTM program: LSTM(50) with relu reads the 28 rows of a digit of MNIST, a softmax of 10 names it.

    imgloc train --config configs/row_lstm_mnist.py --workdir runs/row_lstm --config.data.options.folder=FOLDER
    imgloc train --config configs/row_lstm_mnist.py --workdir runs/row_elman "--config.model.cell=elman(activation=relu)" ...

As published: Adam as Keras has it, categorical cross-entropy, batches of 32, 10 epochs; the accuracy of the last
step's model on MNIST's 10,000 test digits is printed at the end (97.6 to 98.3 % over three seeds, see
experiments/published_programs). 5,000 of the 60,000 training digits are kept for the validation curve. FOLDER holds
MNIST's four idx files; --config.data.options.digits=tfds reads it where TFDS has prepared it.
"""

from ml_collections import ConfigDict

from imgloc.config.schema import base


def get_config() -> ConfigDict:
    config = base()
    config.task = "classify"
    config.data.source = "mnist"
    config.data.options.update(digits="idx", folder="data/mnist")
    config.data.image_size = (28, 28)
    config.model.update(name="sequence", cell="lstm(activation=relu, draw=matrix)", features=50)
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
