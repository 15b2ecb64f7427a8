"""All experiments of a repository in short, for lists, filters and names: as quick with ten thousand as with ten.

A row says what people look for and leaves out what is long (packages, the command). Rows of records that were seen
before are kept
in one file, by what git calls the record; records never change, so a kept row is right for ever, and deleting the file costs
the time to read the records again.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, NamedTuple

from hundredweight.base.files import WriteError, make_folders, write_file
from hundredweight.base.trace import trace
from hundredweight.git.objects import ObjectReader
from hundredweight.lineage import experiments, message, record
from hundredweight.lineage.fields import RecordInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.git.run import Git
    from hundredweight.lineage.experiments import Experiment, Place
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.record import Record

FILE = "experiments-1.json"
"""Below the repository's `hundredweight` folder. Another layout gets another number."""


class Row(NamedTuple):
    """One experiment in short. `commit`, `ref` and `by_hand` as of an `Experiment`; `data` is the version of its first data path,
    `weights` the weights ids (an object's id where a file has none), `runs` those of trackers as `kind:run`."""

    id: str
    name: str
    status: str
    started: str
    seconds: float
    exit_code: int
    code: str
    seed: int | None
    parameters: dict[str, Value]
    metrics: dict[str, Value]
    data: str
    hardware: str
    environment: str
    weights: list[str]
    runs: list[str]
    base: str
    commit: str = ""
    ref: str = ""
    by_hand: bool = False


class Listing(NamedTuple):
    """Rows in order of id, those known by messages alone behind them; `damaged` as of `experiments.Found`."""

    rows: list[Row]
    damaged: list[RecordInvalid]


def in_short(found: Experiment) -> Row:
    """An experiment's row."""
    return _row(found.record)._replace(commit=found.commit, ref=found.ref, by_hand=found.by_hand)


def listing(git: Git, folder: str = "") -> Listing:
    """Every experiment, as `experiments.find` finds them. `folder` is where rows are kept; empty: nowhere. Raises `GitError`."""
    kept = _Kept(os.path.join(folder, FILE) if folder else "")
    rows: dict[str, Row] = {}
    damaged: list[RecordInvalid] = []
    without: list[Place] = []
    used: dict[str, Row] = {}
    with ObjectReader(git) as reader:
        for places in (experiments.by_ref(git), experiments.in_trees(git)):
            unread = []
            for place in places:
                row = kept.rows.get(place.key)
                if row is None:
                    unread.append(place)
                else:
                    used[place.key] = row
            fresh = [place for place in unread if place.id not in rows]
            for place, content in zip(fresh, reader.contents(place.spec for place in fresh), strict=True):
                try:
                    if content is not None:
                        made = record.decode(content[1], f"the record of experiment '{place.id}'")
                        used[place.key] = _row(made)
                        continue
                except RecordInvalid as error:
                    damaged.append(error)
                without.append(place)
            for place in places:
                if place.id not in rows and place.key in used:
                    rows[place.id] = used[place.key]._replace(commit=place.commit, ref=place.ref)
    by_hand = kept.by_message(git, [place for place in without if place.ref])
    kept.keep(used)
    known = [rows[key] for key in sorted(rows)]
    other: dict[str, Row] = {}
    for row in by_hand:
        if row.id not in rows:
            other.setdefault(row.id, row)
    return Listing(known + list(other.values()), damaged)


class _Kept:
    """The file with rows. A file that is missing, damaged or of somebody else counts as empty; one that cannot be written is
    no loss."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.rows: dict[str, Row] = {}
        self._tips = ""
        self._messages: list[Row] = []
        self._before: tuple[str, set[str]] = "", set()
        if path:
            self._read()

    def _read(self) -> None:
        try:
            with open(self._path, "rb") as file:
                document = json.loads(file.read())
            rows = {key: Row(*values) for key, values in document["rows"].items()}
            messages = [Row(*values) for values in document["messages"]]
            self.rows, self._tips, self._messages = rows, str(document["tips"]), messages
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            trace(f"no rows of experiments: {error}")
        self._before = self._tips, set(self.rows)

    def by_message(self, git: Git, also: Iterable[Place]) -> list[Row]:
        """Experiments that messages alone tell of; no history is read again before a branch or tag has moved."""
        also = list(also)
        listed = git.output("for-each-ref", "--format=%(objectname)", "refs/heads", "refs/remotes", "refs/tags")
        head = git.run("rev-parse", "--verify", "--quiet", "HEAD").out
        named = "\n".join(place.commit for place in also)
        tips = hashlib.sha256(listed + head + named.encode()).hexdigest()
        if tips != self._tips:
            self._messages = [in_short(made) for made in experiments.by_message(git, also)]
            self._tips = tips
        return self._messages

    def keep(self, used: dict[str, Row]) -> None:
        """Write what is known now, if that is something else than before."""
        if not self._path or (self._tips, set(used)) == self._before:
            return
        document = {"tips": self._tips, "messages": self._messages, "rows": used}
        try:
            make_folders(os.path.dirname(self._path))
            write_file(self._path, json.dumps(document, separators=(",", ":")).encode())
        except (WriteError, OSError) as error:
            trace(f"rows of experiments are not kept: {error}")


def _row(made: Record) -> Row:
    data = next(iter(made.data), None)
    return Row(
        made.id,
        made.name,
        str(made.status),
        made.started,
        made.seconds,
        made.exit_code,
        made.code.commit,
        made.seed,
        made.parameters,
        made.metrics,
        (data.version or data.digest[:12] or data.tree[:12]) if data else "",
        str(made.hardware),
        made.environment.digest[:12],
        [weights.weights_id or weights.oid for weights in made.weights],
        [f"{tracker.kind}:{tracker.run}" for tracker in made.trackers],
        made.base,
    )


def whole(git: Git, rows: Iterable[Row]) -> list[Experiment]:
    """The experiments of rows, with everything that their records say, in the same order. Raises `RecordInvalid`, `GitError`."""
    asked = list(rows)
    places = [experiments.Place(row.id, row.commit, row.ref) for row in asked]
    found = []
    with ObjectReader(git) as reader:
        for row, content in zip(asked, reader.contents(place.spec for place in places), strict=True):
            if content is None or row.by_hand:
                found.append(_by_hand(git, row))
            else:
                made = record.decode(content[1], f"the record of experiment '{row.id}'")
                found.append(experiments.Experiment(made, row.commit, row.ref))
    return found


def _by_hand(git: Git, row: Row) -> Experiment:
    said = git.text("log", "-1", "--format=%cI%n%B", row.commit)
    date, _, text = said.partition("\n")
    return experiments.Experiment(
        experiments.from_message(row.id, message.read(text) or message.Message(row.name), date),
        row.commit,
        by_hand=True,
    )
