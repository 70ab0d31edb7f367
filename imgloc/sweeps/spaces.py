"""Points of a sweep by grid, at random, or by a Sobol sequence: functions that `sweep()` of a recipe can return.

def sweep():
    return sobol({"optim.lr": log_uniform(1e-4, 1e-1), "model.cell": ("lstm", "gru")}, 32)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from imgloc.errors import UserError
from imgloc.randomness import generator

DIGITS = 4  # significant digits of sampled numbers, which keep the names of run folders short


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where `whole` is set, and evenly on a logarithmic axis with `log`."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, place: float) -> float | int:
        """Return the number at a place in [0, 1)."""
        if self.whole:
            low, high = self.low - 0.5, self.high + 0.5
            number = low * (high / low) ** place if self.log else low + place * (high - low)
            return int(min(max(round(number), self.low), self.high))
        number = self.low * (self.high / self.low) ** place if self.log else self.low + place * (self.high - self.low)
        return self.rounded(number)

    def rounded(self, number: float) -> float:
        """Return a number with DIGITS digits, inside the range."""
        return min(max(float(f"{number:.{DIGITS}g}"), self.low), self.high)


#: The values of a key: a range of numbers, or the values themselves, which are chosen with the same probability.
Values: TypeAlias = Range | Sequence[Any]
Space: TypeAlias = Mapping[str, Values]


def uniform(low: float, high: float) -> Range:
    """Return the numbers from low to high. Raises UserError unless low is less than high."""
    return _checked(Range(low, high))


def log_uniform(low: float, high: float) -> Range:
    """Return the numbers from low to high, whose logarithms have equal probabilities. Raises UserError unless 0 < low < high."""
    return _checked(Range(low, high, log=True))


def integers(low: int, high: int, *, log: bool = False) -> Range:
    """Return the whole numbers from low to high, both included. Raises UserError unless low is less than high."""
    return _checked(Range(low, high, log=log, whole=True))


def _checked(values: Range) -> Range:
    if not values.low < values.high or (values.log and values.low <= 0):
        condition = "0 < low < high" if values.log else "low < high"
        raise UserError(f"a range of a search needs {condition}, got {values.low} and {values.high}")
    return values


def grid(space: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Yield every combination of values; those of the last key change first."""
    for values in itertools.product(*space.values()):
        yield dict(zip(space, values, strict=True))


def random(space: Space, count: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield `count` points drawn independently. Point i depends on (seed, i) alone, so that more points do not change earlier ones."""
    for index in range(count):
        yield point_at(space, generator(seed, "random search", index).random(len(space)).tolist())


def sobol(space: Space, count: int, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the first `count` points of a scrambled Sobol sequence (Owen, 1998), which fills a space more evenly than chance.

    More points do not change earlier ones. A `count` that is a power of 2 fills the space best.
    """
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(space), scramble=True, rng=generator(seed, "sobol search", 0))
    places = sequence.random_base2(math.ceil(math.log2(max(count, 1))))
    for place in places[:count].tolist():
        yield point_at(space, place)


def point_at(space: Space, place: Sequence[float]) -> dict[str, Any]:
    """Return the point at a place in the unit cube, one coordinate in [0, 1) for each key."""
    return {key: _value_at(values, coordinate) for (key, values), coordinate in zip(space.items(), place, strict=True)}


def _value_at(values: Values, place: float) -> Any:
    if isinstance(values, Range):
        return values.at(place)
    return values[int(place * len(values))]


def rounded(values: Values, parameter: Any) -> Any:
    """Return the value of a key for a parameter of Optuna: a number of a range, or the index of a value."""
    if not isinstance(values, Range):
        return values[parameter]
    return int(parameter) if values.whole else values.rounded(float(parameter))


@dataclass(frozen=True)
class Search:
    """What `search()` of a recipe returns: points that depend on the results of earlier ones.

    The result of a point is its best value of `metric` on the validation split, and never that of another split.
    """

    space: Space
    points: int
    sampler: Literal["tpe", "random", "sobol"] = "tpe"  # tpe: Bergstra et al., 2011
    # halving: asynchronous successive halving (Li et al., 2018, arXiv:1810.05934); hyperband: Li et al., 2018, arXiv:1603.06560
    pruner: Literal["none", "halving", "hyperband"] = "none"
    metric: str = ""  # of validation; "": train.best_metric
    first_rung: int = 0  # steps before a point may be stopped; 0: train.eval_every
    reduction: int = 3  # of the points from one rung to the next
    seed: int = 0
    fixed: Mapping[str, Any] = field(default_factory=dict)  # overrides of every point

    def __post_init__(self) -> None:
        """Raises UserError for values that are not possible."""
        for name, possible in (("sampler", ("tpe", "random", "sobol")), ("pruner", ("none", "halving", "hyperband"))):
            if getattr(self, name) not in possible:
                raise UserError(f"{name} of search() must be one of {', '.join(possible)}, got {getattr(self, name)!r}")
        if not self.space or self.points < 1 or self.reduction < 2 or self.first_rung < 0:
            raise UserError("search() needs a space, points of at least 1, a reduction of at least 2, and a first_rung of at least 0")
