"""Fine-tunes over links: pushed, pulled and cloned by this client and by stock git-lfs in turn, to the deepest chain of deltas.

Each client has a hub of its own. Stock's keeps objects whole, as servers for stock git-lfs do: the harder one to be compared
with. At the deepest chain it also clones from our hub, where the versions are packed.
"""

from __future__ import annotations

import hashlib
import shutil
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.checkpoint8b import INDEX, Architecture, write_finetune, write_model
from bench.stage import Client, Hub, running_hub, settle
from bench.weights.journeys import Passage, Route, Team, route
from hundredweight.base.ids import Oid
from hundredweight.hub.services import open_services
from hundredweight.hub.settings import load
from hundredweight.store.pack import DEEPEST

Files = Mapping[str, Path]
Result = dict[str, object]
OURS, STOCK, STOCK_PACKED = "ours", "stock", "stock, packed hub"
DEEPEST_RUNS = 3


@dataclass(frozen=True)
class Link:
    """`mbit` None is loopback with nothing between. So many `fine_tunes` travel; `clones`: each is cloned, too.

    `deepest`: clones of the last one, when the hub's chains are as deep as they may be.
    """

    mbit: float | None
    fine_tunes: int
    clones: bool = False
    deepest: bool = False


LINKS: Mapping[str, Link] = {
    "loopback": Link(None, max(DEEPEST, 3), clones=True, deepest=True),
    "1 Gbit/s": Link(1000, 2, clones=True),
    # A file of 1 GiB takes stock git-lfs one and a half minutes here.
    "100 Mbit/s": Link(100, 1),
}


def checkpoints(folder: Path, size: int, count: int) -> list[Files]:
    """`count` versions of a generated checkpoint of about `size` bytes, each a fine-tune of the one before; kept in `folder`."""
    for number in range(count):
        target = folder / f"v{number}"
        if (target / INDEX).exists():
            continue
        unfinished = folder / f"v{number}.part"
        shutil.rmtree(unfinished, ignore_errors=True)
        if number:
            write_finetune(folder / f"v{number - 1}", unfinished, seed=number)
        else:
            write_model(unfinished, Architecture().scaled(size), seed=0)
        unfinished.rename(target)
    return [{path.name: path for path in sorted((folder / f"v{number}").iterdir())} for number in range(count)]


def size_of(version: Files) -> int:
    return sum(path.stat().st_size for path in version.values())


class Comparison:
    """Who measures what over one link. The clients take turns in being first."""

    def __init__(self, size: int) -> None:
        self.passages: dict[str, dict[str, list[Passage]]] = {}
        self._size = size

    def time(self, operation: str, name: str, action: Callable[[], Passage]) -> None:
        """One run, from the same start as everybody's."""
        settle(2 * self._size)
        self.passages.setdefault(operation, {}).setdefault(name, []).append(action())

    def result(self) -> Result:
        return {
            operation: {name: _median(runs) for name, runs in sorted(by.items())}
            for operation, by in self.passages.items()
        }


def journeys(clients: Sequence[Client], versions: Sequence[Files], link: Link, folder: Path) -> Result:
    """Push of each next version, pull and clone of it, by every client in turn: the median seconds and bytes of each."""
    comparison = Comparison(size_of(versions[0]))
    found: Result = {"size": size_of(versions[0])}
    with ExitStack() as stack:
        teams: list[tuple[Team, Route]] = []
        for client in clients:
            place = folder / f"team-{client.name}"
            place.mkdir()
            hub: Hub = stack.enter_context(running_hub(place, pack=client.name == OURS))
            teams.append((Team(client, hub, place), stack.enter_context(route(hub, link.mbit))))
        for team, _ in teams:
            team.start(versions[0])
        for number, version in enumerate(versions[1:]):
            for team, way in teams[:: -1 if number % 2 else 1]:
                _fine_tune(comparison, team, way, version, clones=link.clones)
        if link.deepest:
            found["depths"] = depths(teams[0][0].hub, versions[-1])
            _clone_deepest(comparison, teams, versions[-1])
    for team, _ in teams:
        shutil.rmtree(team.folder)
    return {**found, "operations": comparison.result()}


def _fine_tune(comparison: Comparison, team: Team, way: Route, version: Files, *, clones: bool) -> None:
    name = team.client.name
    team.commit(version)
    comparison.time("push", name, lambda: team.push(way))
    if name == OURS:
        team.rest()
    comparison.time("pull", name, lambda: team.pull(way))
    team.check(team.follower, version)
    if clones:
        comparison.time("clone", name, lambda: team.clone(way, version))


def _clone_deepest(comparison: Comparison, teams: Sequence[tuple[Team, Route]], version: Files) -> None:
    (ours, way), (stock, stock_way) = teams
    place = ours.folder / "stock"
    place.mkdir()
    everybody = ((OURS, ours, way), (STOCK, stock, stock_way), (STOCK_PACKED, Team(stock.client, ours.hub, place), way))
    for number in range(DEEPEST_RUNS):
        for name, team, route_to in everybody[:: -1 if number % 2 else 1]:
            comparison.time("clone at the deepest chain", name, partial(team.clone, route_to, version))


def depths(hub: Hub, version: Files) -> dict[str, int]:
    """How many bytes of a version the hub keeps at each depth of a chain, by the recipes and rows of its packs."""
    found: Counter[str] = Counter()
    services = open_services(load({}, data=str(hub.data)))
    try:
        for path in version.values():
            with path.open("rb") as file:
                recipe = services.packs.recipe(Oid(hashlib.file_digest(file, "sha256").hexdigest()))
            if recipe is None:
                continue
            places = services.packs.segments(segment.id for segment in recipe.segments)
            for segment in recipe.segments:
                found[str(places[segment.id].depth)] += segment.size
    finally:
        services.close()
    return dict(sorted(found.items()))


def _median(runs: Sequence[Passage]) -> Result:
    return {
        "seconds": statistics.median(run.seconds for run in runs),
        "all": [run.seconds for run in runs],
        "up": statistics.median(run.up for run in runs),
        "down": statistics.median(run.down for run in runs),
        "runs": len(runs),
    }
