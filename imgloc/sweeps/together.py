"""Training the points of a sweep in this process, where points that differ only in numbers and seeds share one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from imgloc.config.build import fit_of
from imgloc.errors import UserError, reason
from imgloc.evaluation.evaluate import evaluate
from imgloc.evaluation.target import after_training, open_target
from imgloc.runs.run_dir import RunDir, open_run, run_state
from imgloc.sweeps.points import Point
from imgloc.training import population, start
from imgloc.training.hyperparameters import program_fingerprint
from imgloc.training.metric_queue import NonFiniteError
from imgloc.training.population import Member
from imgloc.training.preemption import StopRequest
from imgloc.training.setup import Opened, set_up

Report = Callable[[Point, str, str], None]  # a point, its state (a name in live.STATES), and a note


class Session(NamedTuple):
    """What the points of one call share."""

    runs: Mapping[str, RunDir]
    stop: StopRequest
    report: Report
    split: str
    opened: Opened


def train_points(
    points: Sequence[Point], runs: Mapping[str, RunDir], stop: StopRequest, report: Report, *, split: str = "", largest_population: int = 1
) -> dict[str, str]:
    """Train each point in its run folder (`runs` by name), and score it on `split` if there is one; returns {name: error}.

    One after another, a point has the bits of `imgloc train`. With a `largest_population` above 1, points that share a program train
    together where a short trial finds that this is faster. A point that has begun goes on in a population of the same size, or alone. An
    error of one point does not stop the others. Once `stop` is requested, the states of running points are saved and no other one begins.
    A split that the config scores after training is scored in any case.
    """
    errors: dict[str, str] = {}
    session = Session(runs, stop, report, split, Opened())
    for group in _by_program(points):
        alone = list(group)
        if largest_population > 1 and fit_of(group[0].config.model.name) is None:
            for members, size in _populations(group, session, largest_population):
                alone = [point for point in alone if point.name not in members]
                errors |= _train_population(members, size, session)
        for point in alone:
            if stop.requested:
                break
            report(point, "training", "")
            try:
                start.train(point.config, str(runs[point.name].path), stop=stop, quiet=True, opened=session.opened)
                _score(point, session)
            except (UserError, NonFiniteError, OSError) as error:
                errors[point.name] = reason(error)
    return errors


def _by_program(points: Sequence[Point]) -> list[list[Point]]:
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(program_fingerprint(point.config), []).append(point)
    return list(groups.values())


def _populations(group: Sequence[Point], session: Session, largest: int) -> Iterator[tuple[dict[str, tuple[Point, int]], int]]:
    """The populations of points of one program: for each its members with their places, by name, and its size."""
    new: list[Point] = []
    begun: list[tuple[dict[int, Point], int]] = []
    for point in group:
        run = session.runs[point.name]
        state = run_state(run, point.config)
        recorded = population.recorded_place(run.path) if state == "unfinished" else None
        if recorded is not None:
            size, place = recorded
            free = next((places for places, other in begun if other == size and place not in places), None)
            if free is None:
                begun.append((free := {}, size))
            free[place] = point
        elif state == "new":
            new.append(point)
    for places, size in begun:
        yield {point.name: (point, place) for place, point in places.items()}, size
    sizes = list(population.possible_sizes(group[0].config, min(largest, len(new))))
    while sizes and len(new) >= sizes[0] and not session.stop.requested:
        size = max(size for size in sizes if size <= len(new))
        members, new = new[:size], new[size:]
        if not population.pays([point.config for point in members], session.opened):
            return
        yield {point.name: (point, place) for place, point in enumerate(members)}, size


def _train_population(points: Mapping[str, tuple[Point, int]], size: int, session: Session) -> dict[str, str]:
    if session.stop.requested:
        return {}
    for point, _ in points.values():
        session.report(point, "training", f"in a population of {size}")
    members = [Member(point.config, session.runs[name].path, place) for name, (point, place) in points.items()]
    outcomes = population.train(members, size, stop=session.stop, opened=session.opened)
    errors: dict[str, str] = {}
    for (point, _), outcome in zip(points.values(), outcomes, strict=True):
        try:
            if isinstance(outcome, Exception):
                raise outcome
            _score(point, session)
        except (UserError, NonFiniteError, OSError) as error:
            errors[point.name] = reason(error)
    return errors


def _score(point: Point, session: Session) -> None:
    """Score a trained point as `imgloc train` and `imgloc evaluate` do."""
    run = session.runs[point.name]
    if session.stop.requested:
        return
    targets = [after_training(point.config, run), (open_target(point.config, session.split, run=run), "best") if session.split else None]
    by_name = {target[0].name: target for target in targets if target is not None}
    compiled = None if fit_of(point.config.model.name) else set_up(point.config, session.opened).predict
    for target, which in by_name.values():
        session.report(point, "scoring", "")
        evaluate(*open_run(str(run.path)), target, which=which, compiled=compiled)
