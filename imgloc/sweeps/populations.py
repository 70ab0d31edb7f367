"""Divides the points of a sweep into populations, and trains one: points that share a program and train together in one process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from imgloc.config.build import fit_of
from imgloc.errors import UserError
from imgloc.runs.run_dir import RunDir, run_state
from imgloc.sweeps import folder
from imgloc.sweeps.executor import Session
from imgloc.sweeps.folder import SweepDir
from imgloc.sweeps.points import Point
from imgloc.training.preemption import Stop

if TYPE_CHECKING:
    from imgloc.training.setup import Opened

NEW = (0, 0)  # stands for the size of a population and a place in it where a point is new


def largest(options: Mapping[str, str]) -> int:
    """Return the option `population`. Raises UserError unless it is a whole number of at least 1."""
    value = options.get("population", "1")
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"the option population must be a whole number of at least 1, got '{value}'")
    return int(value)


def groups(session: Session, points: Sequence[Point]) -> list[list[Point]]:
    """Divide points into those that may train together, up to the option `population`, and single points.

    Points that began together stay together. Those that began alone, and those whose models are fitted, are single.
    """
    from imgloc.training.hyperparameters import program_fingerprint

    most = largest(session.options)
    if most == 1:
        return [[point] for point in points]
    runs = runs_of(session.plan.sweep, points)
    by_program: dict[str, list[Point]] = {}
    for point in points:
        by_program.setdefault(program_fingerprint(point.config), []).append(point)
    return [group for own in by_program.values() for group in _divided(own, runs, most)]


def _divided(points: Sequence[Point], runs: Mapping[str, RunDir], most: int) -> Iterator[list[Point]]:
    """Yield the groups of points of one program."""
    from imgloc.training.population import possible_sizes

    new: list[Point] = []
    begun: dict[int, list[dict[int, Point]]] = {}  # by the size of the population; each has its points by their places
    for point in points:
        size, place = _place(point, runs) or (1, 0)
        if (size, place) == NEW:
            new.append(point)
        elif size == 1:
            yield [point]
        else:
            free = next((members for members in begun.setdefault(size, []) if place not in members), None)
            if free is None:
                begun[size].append(free := {})
            free[place] = point
    yield from (list(members.values()) for same_size in begun.values() for members in same_size)
    sizes = list(possible_sizes(points[0].config, min(most, len(new)))) if new else []
    while new:
        size = max((size for size in sizes if size <= len(new)), default=1)
        yield new[:size]
        new = new[size:]


def runs_of(sweep: SweepDir, points: Sequence[Point]) -> dict[str, RunDir]:
    """Return the run folders by the names of their points, without those that `folder.run_of` refuses."""
    found, known = {}, folder.runs_by_identity(sweep)
    for point in points:
        with contextlib.suppress(UserError):  # the point fails with this error
            found[point.name] = folder.run_of(sweep, point, known)
    return found


def _place(point: Point, runs: Mapping[str, RunDir]) -> tuple[int, int] | None:
    """Return the size of the population in which a point was begun and its place there, or NEW; None where it continues alone."""
    from imgloc.training.population import recorded_place

    if point.name not in runs or fit_of(point.config.model.name) is not None:
        return None
    state = run_state(runs[point.name], point.config)
    if state == "new":
        return NEW
    return recorded_place(runs[point.name].path) if state == "unfinished" else None


def train_together(points: Sequence[Point], runs: Mapping[str, RunDir], stop: Stop, opened: Opened) -> dict[str, Exception]:
    """Train claimed points of a group as a population; returns {name: error} of those that fail.

    Trains nothing where the points cannot be a population on these devices, and where a trial finds that new ones are not faster so.
    """
    from imgloc.training import population

    placed = [(point, found) for point in points if (found := _place(point, runs)) is not None]
    if len({size for _, (size, _) in placed}) != 1:  # another process has worked on some of them
        return {}
    chosen, is_new = [point for point, _ in placed], placed[0][1] == NEW
    size = len(chosen) if is_new else placed[0][1][0]
    places = range(size) if is_new else [place for _, (_, place) in placed]
    if size not in population.possible_sizes(chosen[0].config, size) or (is_new and not _may_begin(chosen, runs, opened)):
        return {}
    members = [population.Member(point.config, runs[point.name].path, place) for point, place in zip(chosen, places, strict=True)]
    try:
        if stop.requested:
            return {}
        outcomes = population.train(members, size, stop=stop, opened=opened)
    except Exception as error:  # of the program of all members
        return {point.name: error for point in chosen}
    return {point.name: outcome for point, outcome in zip(chosen, outcomes, strict=True) if isinstance(outcome, Exception)}


def _may_begin(points: Sequence[Point], runs: Mapping[str, RunDir], opened: Opened) -> bool:
    """Return whether `imgloc train` accepts the data of new points, and they are faster as a population."""
    from imgloc.training import population
    from imgloc.training.data_faults import training_notes

    try:
        for _ in training_notes(points[0].config, runs[points[0].name].path, allow_faults=False, command=""):
            pass
        return population.pays([point.config for point in points], opened)
    except Exception:  # of a library or of the user's own module; each point that trains alone has its own error
        return False
