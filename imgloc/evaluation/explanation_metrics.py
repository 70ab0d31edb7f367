"""The metrics of explanations."""

from __future__ import annotations

from imgloc.interfaces import Metric

#: The metrics in the order of a table. Those after the second are functions of the model.
METRICS = (
    Metric("pointing", "Pointing game", "share of images whose highest pixel of the map lies in a box of the target"),
    Metric("energy", "Energy in the box", "share of the sum of the map that lies in the boxes of the target"),
    Metric("deletion", "Deletion", "mean score as pixels are blackened, the highest first; lower is better", "score", False),
    Metric("insertion", "Insertion", "mean score as a blurred image becomes sharp, the highest pixels first", "score"),
    Metric("randomization", "Randomization", "mean rank correlation with the maps of the model with random weights", "correlation", False),
    Metric("sensitivity", "Max-sensitivity", "largest relative change of the map as each pixel changes by at most 0.02", "change", False),
)
