"""The share of answers that are not finite."""

from __future__ import annotations

from imgloc.evaluation import scoring
from imgloc.evaluation.metrics import non_finite


def test_it_is_counted_where_some_answer_is_not_finite_and_absent_otherwise() -> None:
    rows = [{"finite": True}, {"finite": False}, {"finite": True}, {"finite": True}]
    assert non_finite.per_row(rows)["non_finite"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert scoring.means(rows) == {"non_finite": 0.25}
    assert scoring.means([{}, {}]) == {}
