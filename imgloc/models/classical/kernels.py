"""Support vector machines with an RBF kernel, a Gaussian of the distance: fitted by scikit-learn, evaluated in JAX."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from imgloc.models.classical.linear import NEVER, Arrays
from imgloc.nn.fitted import fitted
from imgloc.types import FloatArray, IntArray


class KernelSums(nn.Module):
    """The values `exp(-gamma |x - s|^2)` of a vector x and each support vector s, times coefficients, plus a bias."""

    vectors: int
    outputs: int

    @nn.compact
    def __call__(self, features_bxd: jax.Array) -> jax.Array:
        """Returns (b, outputs) for features (b, d)."""
        vectors_sxd = fitted(self, "vectors", (self.vectors, features_bxd.shape[-1]))
        products_bxs = jnp.dot(features_bxd, vectors_sxd.T, precision="highest")
        squares_bxs = jnp.square(features_bxd).sum(-1)[:, None] - 2 * products_bxs + jnp.square(vectors_sxd).sum(-1)
        kernel_bxs = jnp.exp(-fitted(self, "gamma", (1,)) * jnp.maximum(squares_bxs, 0.0))
        coefficients_sxo = fitted(self, "coefficients", (self.vectors, self.outputs))
        return jnp.dot(kernel_bxs, coefficients_sxo, precision="highest") + fitted(self, "bias", (self.outputs,))


class KernelClassifier(nn.Module):
    """A decision for each pair of classes, and for each class its votes, as `SVC(decision_function_shape="ovr")` combines them.

    The value of a class is the number of its pairs that it wins, plus the sum of its decisions, squeezed to less than a third of a
    vote. A class without a training example has NEVER.
    """

    num_classes: int
    vectors: int

    @nn.compact
    def __call__(self, features_bxd: jax.Array) -> jax.Array:
        """Returns the values of the classes (b, num_classes) for features (b, d)."""
        pairs_px2 = np.array(list(itertools.combinations(range(self.num_classes), 2)), np.int32).reshape(-1, 2)
        decision_bxp = KernelSums(self.vectors, len(pairs_px2), name="pairs")(features_bxd)
        occurs_k = fitted(self, "occurs", (self.num_classes,))
        counts_p = occurs_k[pairs_px2[:, 0]] * occurs_k[pairs_px2[:, 1]]
        first_pxk, second_pxk = (jax.nn.one_hot(pairs_px2[:, side], self.num_classes) for side in (0, 1))
        wins_bxp = (decision_bxp > 0).astype(jnp.float32)
        votes_bxk = (wins_bxp * counts_p) @ first_pxk + ((1 - wins_bxp) * counts_p) @ second_pxk
        sum_bxk = (decision_bxp * counts_p) @ (first_pxk - second_pxk)
        return jnp.where(occurs_k > 0, votes_bxk + sum_bxk / (3 * (jnp.abs(sum_bxk) + 1)), NEVER)


def scale_gamma(features_nxd: FloatArray) -> float:
    """The width of the kernel that scikit-learn calls `scale`: 1 / (d * variance of all values)."""
    variance = float(features_nxd.var(dtype=np.float64))
    return 1.0 / (features_nxd.shape[1] * variance) if variance > 0 else 1.0


def fit_kernel_classifier(
    features_nxd: FloatArray, labels_n: IntArray, num_classes: int, c: float, gamma: float
) -> tuple[dict[str, Any], int]:
    """The variables of `KernelClassifier` that give the decision values of `sklearn.svm.SVC`, and the number of its support vectors.

    `gamma` is in units of `scale_gamma`. A single class has no pair, and the value 0.
    """
    width = gamma * scale_gamma(features_nxd)
    if num_classes == 1:
        nothing = {"vectors": features_nxd[:1], "coefficients": np.zeros((1, 0), np.float32), "bias": np.zeros(0, np.float32)}
        return {"pairs": {**nothing, "gamma": np.array([width], np.float32)}, "occurs": np.ones(1, np.float32)}, 1
    from sklearn.svm import SVC

    machine = SVC(C=c, gamma=width, cache_size=500).fit(features_nxd, labels_n)
    place = {pair: number for number, pair in enumerate(itertools.combinations(range(num_classes), 2))}
    coefficients = np.zeros((len(machine.support_), len(place)), np.float32)
    bias = np.zeros(len(place), np.float32)
    # scikit-learn sorts support vectors by class. Those of class i have their coefficients against class j in row j - 1, or j if j < i.
    ends = np.cumsum([0, *machine.n_support_])
    pairs = list(itertools.combinations(range(len(machine.classes_)), 2))
    sign = -1.0 if len(pairs) == 1 else 1.0  # of two classes scikit-learn returns the decision for the second one
    for number, (i, j) in enumerate(pairs):
        column = place[(int(machine.classes_[i]), int(machine.classes_[j]))]
        coefficients[ends[i] : ends[i + 1], column] = sign * machine.dual_coef_[j - 1, ends[i] : ends[i + 1]]
        coefficients[ends[j] : ends[j + 1], column] = sign * machine.dual_coef_[i, ends[j] : ends[j + 1]]
        bias[column] = sign * machine.intercept_[number]
    vectors = machine.support_vectors_.astype(np.float32)
    arrays = {"vectors": vectors, "gamma": np.array([width], np.float32), "coefficients": coefficients, "bias": bias}
    occurs = np.isin(np.arange(num_classes), machine.classes_).astype(np.float32)
    return {"pairs": arrays, "occurs": occurs}, len(vectors)


def fit_kernel_regressor(features_nxd: FloatArray, targets_nxo: FloatArray, c: float, gamma: float, tolerance: float) -> tuple[Arrays, int]:
    """The variables of `KernelSums` that give the predictions of one `sklearn.svm.SVR` for each target, and their support vectors.

    Errors up to `tolerance` cost nothing. `gamma` is in units of `scale_gamma`.
    """
    from sklearn.svm import SVR

    width = gamma * scale_gamma(features_nxd)
    machines = [SVR(C=c, gamma=width, epsilon=tolerance, cache_size=500).fit(features_nxd, target_n) for target_n in targets_nxo.T]
    used = np.unique(np.concatenate([machine.support_ for machine in machines]))
    used = used if len(used) else np.zeros(1, np.int64)  # constant targets need no support vector
    coefficients = np.zeros((len(used), len(machines)), np.float32)
    for column, machine in enumerate(machines):
        coefficients[np.searchsorted(used, machine.support_), column] = machine.dual_coef_[0]
    bias = np.array([machine.intercept_[0] for machine in machines], np.float32)
    return {"vectors": features_nxd[used], "gamma": np.array([width], np.float32), "coefficients": coefficients, "bias": bias}, len(used)
