"""Linear classifiers and regressors: support vector machines, fitted by scikit-learn, and ridge regression."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.nn.fitted import fitted
from imgloc.types import FloatArray, IntArray

NEVER = -10.0  # the decision value of a class without a training example
Arrays = dict[str, np.ndarray]


class Linear(nn.Module):
    """`weights` and `bias` that are fitted: features (b, d) to (b, outputs), in float32."""

    outputs: int

    @nn.compact
    def __call__(self, features_bxd: jax.Array) -> jax.Array:
        """Returns (b, outputs)."""
        weights_dxo = fitted(self, "weights", (features_bxd.shape[-1], self.outputs))
        return jnp.dot(features_bxd, weights_dxo, precision="highest") + fitted(self, "bias", (self.outputs,))


def fit_linear_svm(features_nxd: FloatArray, labels_n: IntArray, num_classes: int, c: float, seed: int) -> Arrays:
    """The variables of `Linear` that give the decision values of `sklearn.svm.LinearSVC`: each class against the others.

    The loss is the squared hinge loss, times `c`. Classes without an example get NEVER. A single class has the value 0.
    """
    if num_classes == 1:
        return {"weights": np.zeros((features_nxd.shape[1], 1), np.float32), "bias": np.zeros(1, np.float32)}
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():  # a candidate that does not converge is judged by its validation, as all are
        warnings.simplefilter("ignore", ConvergenceWarning)
        machine = LinearSVC(C=c, dual=len(features_nxd) < features_nxd.shape[1], random_state=seed).fit(features_nxd, labels_n)
    return of_classes(*both_classes(machine.coef_.T, machine.intercept_), machine.classes_, num_classes)


def fit_ridge_classifier(features_nxd: FloatArray, labels_n: IntArray, num_classes: int, alpha: float) -> Arrays:
    """The variables of `Linear` that give the decision values of `sklearn.linear_model.RidgeClassifier`: regression to 1 and -1."""
    present_k = np.unique(labels_n)
    arrays = fit_ridge(features_nxd, np.where(labels_n[:, None] == present_k, 1.0, -1.0), alpha)
    return of_classes(arrays["weights"], arrays["bias"], present_k, num_classes)


def fit_ridge(features_nxd: FloatArray, targets_nxo: FloatArray, alpha: float) -> Arrays:
    """The variables of `Linear` with the smallest sum of squared errors plus `alpha` times the squared weights (not the bias)."""
    mean_d, mean_o = features_nxd.mean(axis=0, dtype=np.float64), targets_nxo.mean(axis=0, dtype=np.float64)
    centered = features_nxd.astype(np.float64) - mean_d
    gram = centered.T @ centered + alpha * np.eye(len(mean_d))
    weights = np.linalg.solve(gram, centered.T @ (targets_nxo - mean_o))
    return {"weights": weights.astype(np.float32), "bias": (mean_o - mean_d @ weights).astype(np.float32)}


def both_classes(weights_dxo: FloatArray, bias_o: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights and bias with a column for each class; scikit-learn has a single one for two classes."""
    if weights_dxo.shape[1] > 1:
        return weights_dxo, bias_o
    return np.concatenate([-weights_dxo, weights_dxo], axis=1), np.concatenate([-bias_o, bias_o])


def of_classes(weights_dxo: FloatArray, bias_o: FloatArray, classes_o: IntArray, num_classes: int) -> Arrays:
    """The variables of `Linear` with an output for each class, from columns of the classes that occur."""
    weights, bias = np.zeros((len(weights_dxo), num_classes), np.float32), np.full(num_classes, NEVER, np.float32)
    weights[:, classes_o], bias[classes_o] = weights_dxo, bias_o
    return {"weights": weights, "bias": bias}
