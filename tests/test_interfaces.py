"""How metrics are written in tables, whichever file declares them."""

from __future__ import annotations

from imgloc.evaluation import scoring
from imgloc.interfaces import Metric


def test_shares_are_percentages_with_the_digits_that_the_commands_print() -> None:
    top1 = scoring.metric_of("top1")
    for value in (0.0, 0.0005, 0.1135, 0.9925, 0.9995, 1.0):
        assert float(top1.text(value)) == round(float(f"{value:.3f}") * 100, 1), value
    assert top1.text(0.9925) == "99.3"  # 100 * 0.9925 is a tie, 0.9925 is not


def test_other_metrics_have_three_decimals() -> None:
    assert scoring.metric_of("mean_iou").text(0.9925) == "0.993"
    assert Metric("depth", "Depth", "", unit="m").text(3.0) == "3.000"


def test_a_slice_has_the_metric_of_the_whole_and_an_unknown_metric_its_key_as_title() -> None:
    assert scoring.metric_of("top1/class/3") is scoring.metric_of("top1")
    assert scoring.metric_of("gt_known_loc_50").title == "GT-known localization, IoU \u2265 0.5"
    assert scoring.metric_of("zeta").title == "zeta"


def test_every_metric_has_a_title_a_meaning_and_a_direction() -> None:
    for key, metric in scoring.known_metrics().items():
        assert metric.key == key
        assert metric.title
        assert metric.meaning
        assert metric.sign in (1, -1)
