"""Converted predictors against scikit-learn's own on the same vectors, and descriptors against other implementations."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from sklearn import ensemble
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.svm import SVC, SVR, LinearSVC

from imgloc.models import forest, ridge, support_vectors
from imgloc.models.classical.kernels import KernelClassifier, KernelSums, fit_kernel_classifier, fit_kernel_regressor, scale_gamma
from imgloc.models.classical.linear import NEVER, Linear, fit_linear_svm, fit_ridge, fit_ridge_classifier
from imgloc.models.classical.training_features import TrainingFeatures
from imgloc.models.classical.trees import Trees, round_down, tree_arrays
from imgloc.models.descriptors import color_histogram
from tests.refusals import assert_refused

CLASSES, D = 4, 6
PRESENT = [0, 2, 3]  # class 1 has no example
RNG = np.random.default_rng(0)
LABELS = RNG.choice(PRESENT, 120)
FEATURES = (RNG.standard_normal((120, D)) + LABELS[:, None] * np.linspace(-0.5, 0.5, D)).astype(np.float32)
BOXES = np.sort(RNG.uniform(0.1, 0.9, (120, 2, 2)), axis=1).reshape(120, 4).astype(np.float32)
NEW = RNG.standard_normal((50, D)).astype(np.float32)


def run(module: Any, variables: Any, features: np.ndarray = NEW) -> np.ndarray:
    """What a module returns with fitted variables."""
    return np.asarray(jax.jit(module.apply)({"fitted": variables}, features))


@pytest.mark.parametrize("name", ["RandomForest", "ExtraTrees"])
def test_trees_give_the_probabilities_and_values_of_scikit_learn(name: str) -> None:
    classifier = getattr(ensemble, f"{name}Classifier")(n_estimators=7, random_state=0).fit(FEATURES, LABELS)
    trees = [each.tree_ for each in classifier.estimators_]
    arrays, sizes = tree_arrays(trees, [tree.value[:, 0] for tree in trees])
    thresholds = np.concatenate([tree.threshold for tree in trees]).astype(np.float32)[: 50 * D].reshape(-1, D)  # vectors on the thresholds
    for features in (NEW, FEATURES, thresholds):
        np.testing.assert_allclose(run(Trees(7, 3, sizes), arrays, features), classifier.predict_proba(features), atol=1e-6)
    regressor = getattr(ensemble, f"{name}Regressor")(n_estimators=5, max_depth=4, random_state=0).fit(FEATURES, BOXES)
    trees = [each.tree_ for each in regressor.estimators_]
    arrays, sizes = tree_arrays(trees, [tree.value[:, :, 0] for tree in trees])
    assert sizes[2] == 4
    np.testing.assert_allclose(run(Trees(5, 4, sizes), arrays), regressor.predict(NEW), atol=1e-6)


def test_a_threshold_becomes_the_largest_float32_below() -> None:
    values = np.array([0.1, -0.1, 1.0, np.float64(np.float32(0.3)), 1e-50, -1e-50])
    down = round_down(values)
    assert down.dtype == np.float32
    assert (down <= values).all()
    assert (np.nextafter(down, np.float32(np.inf)).astype(np.float64) > values).all()


def test_a_linear_machine_gives_the_decisions_of_scikit_learn_and_a_class_without_examples_never_wins() -> None:
    variables = fit_linear_svm(FEATURES, LABELS, CLASSES, 0.5, 0)
    ours, theirs = run(Linear(CLASSES), variables), LinearSVC(C=0.5, dual=False).fit(FEATURES, LABELS).decision_function(NEW)
    np.testing.assert_allclose(ours[:, PRESENT], theirs, atol=1e-4)
    assert (ours[:, 1] == NEVER).all()


def test_two_classes_have_a_column_each() -> None:
    two = LABELS != 3
    theirs = LinearSVC(dual=False).fit(FEATURES[two], LABELS[two]).decision_function(NEW)
    ours = run(Linear(CLASSES), fit_linear_svm(FEATURES[two], LABELS[two], CLASSES, 1.0, 0))
    np.testing.assert_allclose(ours[:, [0, 2]], np.stack([-theirs, theirs], axis=1), atol=1e-4)


@pytest.mark.parametrize("present", [(0, 2, 3), (0, 2), (2, 3)])
def test_a_support_vector_machine_with_an_rbf_kernel_gives_the_decisions_of_scikit_learn(present: tuple[int, ...]) -> None:
    chosen = np.isin(LABELS, present)
    features, labels = FEATURES[chosen], LABELS[chosen]
    machine = SVC(C=2.0, gamma=0.3 * scale_gamma(features), break_ties=len(present) > 2).fit(features, labels)
    variables, count = fit_kernel_classifier(features, labels, CLASSES, 2.0, 0.3)
    ours = run(KernelClassifier(CLASSES, count), variables)
    np.testing.assert_array_equal(ours.argmax(axis=1), machine.predict(NEW))
    theirs = machine.decision_function(NEW)
    if len(present) > 2:
        np.testing.assert_allclose(ours[:, present], theirs, atol=1e-4)
    else:  # scikit-learn returns a single decision, a positive one for the second class
        squeezed = theirs / (3 * (np.abs(theirs) + 1))
        np.testing.assert_allclose(ours[:, present[1]], (theirs > 0) + squeezed, atol=1e-4)
    assert (np.delete(ours, present, axis=1) == NEVER).all()


def test_the_unit_of_gamma_is_the_scale_of_scikit_learn() -> None:
    assert scale_gamma(FEATURES) == pytest.approx(SVC(gamma="scale").fit(FEATURES, LABELS)._gamma, rel=1e-5)
    assert scale_gamma(np.ones((3, 2), np.float32)) == 1


def test_support_vector_regression_gives_the_predictions_of_scikit_learn() -> None:
    variables, count = fit_kernel_regressor(FEATURES, BOXES, 1.0, 0.5, 0.05)
    theirs = [SVR(C=1.0, gamma=0.5 * scale_gamma(FEATURES), epsilon=0.05).fit(FEATURES, edge_n).predict(NEW) for edge_n in BOXES.T]
    np.testing.assert_allclose(run(KernelSums(count, 4), variables), np.stack(theirs, axis=1), atol=1e-4)


@pytest.mark.parametrize("alpha", [0.1, 30.0])
def test_ridge_gives_the_predictions_of_scikit_learn(alpha: float) -> None:
    theirs = Ridge(alpha=alpha).fit(FEATURES.astype(np.float64), BOXES).predict(NEW)
    np.testing.assert_allclose(run(Linear(4), fit_ridge(FEATURES, BOXES, alpha)), theirs, atol=1e-5)
    decisions = RidgeClassifier(alpha=alpha).fit(FEATURES.astype(np.float64), LABELS).decision_function(NEW)
    ours = run(Linear(CLASSES), fit_ridge_classifier(FEATURES, LABELS, CLASSES, alpha))
    np.testing.assert_allclose(ours[:, PRESENT], decisions, atol=1e-5)


def described(*, boxes: bool = True, labels: np.ndarray = LABELS) -> TrainingFeatures:
    return TrainingFeatures(FEATURES, labels.astype(np.int32), BOXES, np.full(len(BOXES), boxes))


@pytest.mark.parametrize("module", [forest, ridge, support_vectors])
def test_a_fit_without_boxes_or_with_one_class_is_refused_and_images_without_a_class_are_left_out(module: Any) -> None:
    model, rng = module.Model(num_classes=CLASSES, **module.TINY), np.random.default_rng(0)
    assert_refused(lambda: module.fit(model, described(boxes=False), rng), "no training example has a box", "--config.model.locate=False")
    assert_refused(lambda: module.fit(model, described(labels=np.zeros(120)), rng), "fewer than two classes", "train.steps")
    unlabelled = LABELS.copy()
    unlabelled[:60] = -1
    assert module.fit(model, described(labels=unlabelled), rng).variables.keys() == {"classes", "box"}


def test_wrong_fields_are_refused() -> None:
    images = np.zeros((1, 32, 32, 1), np.float32)

    def call(module: Any, **fields: Any) -> Any:
        return lambda: module.Model(num_classes=3, **fields).init(jax.random.key(0), images, train=False)

    assert_refused(call(forest, kind="deep"), "kind (model.kind)", "extra, random")
    assert_refused(call(forest, trees=0), "model.trees is 0")
    assert_refused(call(support_vectors, kernel="poly"), "kernel (model.kernel) 'poly'", "linear, rbf")
    assert_refused(call(support_vectors, c=(0.0,)), "model.c, gamma and box_alpha must be above 0")
    assert_refused(call(ridge, alpha=(-1.0,)), "model.alpha must be above 0")
    assert_refused(call(ridge, descriptor={"name": "sift"}), "unknown descriptor 'sift'", "hog")


def test_a_color_histogram_is_numpys() -> None:
    images = np.random.default_rng(1).uniform(0, 1, (2, 9, 7, 3)).astype(np.float32)
    images[0, 0, 0] = 1.0  # belongs to the last bin
    ours = np.asarray(color_histogram.Descriptor(bins=4).apply({}, images))
    for image, histogram in zip(images, ours, strict=True):
        theirs, _ = np.histogramdd(image.reshape(-1, 3), bins=4, range=[(0, 1)] * 3)
        np.testing.assert_allclose(histogram.reshape(4, 4, 4).transpose(2, 1, 0), theirs / 63, atol=1e-6)
    grid = np.asarray(color_histogram.Descriptor(bins=2, grid=2).apply({}, images)).reshape(2, 4, 8)
    np.testing.assert_allclose(grid.sum(axis=-1), 1, atol=1e-6)
    corner = np.asarray(color_histogram.Descriptor(bins=2).apply({}, images[:, :5, :4]))
    np.testing.assert_allclose(grid[:, 0], corner, atol=1e-6)
