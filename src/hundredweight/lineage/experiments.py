"""Experiments in a repository: written with git's plumbing alone, found wherever they survive.

Writing takes no index, no work tree and no lock that two experiments share, so any number of jobs may record at once. An
experiment is found by its ref; where that was not fetched, by its record in the tree of a branch (a squash merge keeps the
file); and by the messages of commits, those that people wrote by hand included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.git.objects import ObjectReader
from hundredweight.git.trees import change_tree, write_object
from hundredweight.lineage import message, record
from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.record import FOLDER, Code, DataVersion, Hardware, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hundredweight.git.run import Git

REFS = "refs/experiments/"
FETCHED = "refs/remote-experiments/"
"""Where a fetch puts those of a remote, in a folder of its own: `git fetch --prune` deletes what the remote lacks, and must not
reach experiments that were never pushed."""


def refspec(remote: str) -> str:
    """What `remote.NAME.fetch` needs besides, so that a fetch brings experiments."""
    return f"+{REFS}*:{FETCHED}{remote}/*"


@dataclass(frozen=True, slots=True)
class Experiment:
    """`commit` is where it was found: its own commit, or one whose tree holds its record. `ref` is empty where no ref of its own
    keeps it. `by_hand`: known by its message alone."""

    record: Record
    commit: str
    ref: str = ""
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """All experiments, by id; `damaged` are records that could not be read, with the reason."""

    experiments: tuple[Experiment, ...]
    damaged: tuple[RecordInvalid, ...] = ()


def write(
    git: Git, parent: str, made: Record, files: Mapping[str, bytes | str | None], text: str = "", *, ref: str = ""
) -> str:
    """Record an experiment as a commit on `parent` (empty: without one), named by its ref; gives the commit.

    `files` are what its tree has otherwise than the parent's: path -> content (bytes), or the id of a blob that is there (str),
    or None for a file that is gone. `text` is the message, by default the record's. `ref` names a branch (refs/heads/...) that is
    made or moved besides, from `parent` alone: when it moved meanwhile, only the experiment's own ref is made. Raises `GitError`.
    """
    changes: dict[str, str | None] = {made.path: write_object(git, "blob", made.encode())}
    for path, content in files.items():
        changes[path] = write_object(git, "blob", content) if isinstance(content, bytes) else content
    with ObjectReader(git) as reader:
        tree = change_tree(git, reader, git.text("rev-parse", f"{parent}^{{tree}}") if parent else "", changes)
    parents = ("-p", parent) if parent else ()
    said = (text or message.write(made)).encode("utf-8", "surrogateescape")
    commit = git.text("commit-tree", tree, *parents, "-F", "-", stdin=said)
    git.output("update-ref", "-m", f"experiment: {made.id}", REFS + made.id, commit)
    if ref:
        before = parent if git.ok("show-ref", "--verify", "--quiet", ref) else "0" * len(commit)
        git.run("update-ref", "-m", f"experiment: {made.id}", ref, commit, before)
    return commit


def find(git: Git) -> Found:
    """Every experiment, each once, in order of id; those known by messages alone behind them. Raises `GitError`."""
    found: dict[str, Experiment] = {}
    damaged: list[RecordInvalid] = []
    without: list[Place] = []
    with ObjectReader(git) as reader:
        for places in (by_ref(git), in_trees(git)):
            new = [place for place in places if place.id not in found]
            for place, content in zip(new, reader.contents(place.spec for place in new), strict=True):
                if content is None:
                    without.append(place)
                    continue
                try:
                    known = record.decode(content[1], f"the record of experiment '{place.id}'")
                except RecordInvalid as error:
                    damaged.append(error)
                    without.append(place)
                else:
                    found[place.id] = Experiment(known, place.commit, place.ref)
    by_hand: dict[str, Experiment] = {}
    for made in by_message(git, [place for place in without if place.ref]):
        if made.record.id not in found:
            by_hand.setdefault(made.record.id, made)
    return Found((*(found[key] for key in sorted(found)), *by_hand.values()), tuple(damaged))


def read(git: Git, name: str) -> Experiment | None:
    """The experiment of that id, or recorded in that commit. Raises `RecordInvalid`, `GitError`."""
    resolved = git.run("rev-parse", "--verify", "--quiet", f"{REFS}{name}^{{commit}}")
    if resolved.code:
        resolved = git.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if resolved.code:
        return next((made for made in find(git).experiments if made.record.id == name), None)
    commit = resolved.out.decode().strip()
    said = message.read(git.output("log", "-1", "--format=%B", commit).decode("utf-8", "replace"))
    if said is None:
        return None
    if not said.experiment:
        return Experiment(from_message(commit, said), commit, by_hand=True)
    with ObjectReader(git) as reader:
        content = next(iter(reader.contents([f"{commit}:{FOLDER}/{said.experiment}.json"])))
    if content is None:
        return Experiment(from_message(said.experiment, said), commit, by_hand=True)
    known = record.decode(content[1], f"the record of experiment '{said.experiment}'")
    ref = next((place.ref for place in by_ref(git) if place.id == known.id), "")
    return Experiment(known, commit, ref)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record should be: in the tree of a commit. `blob` is its id where that is known."""

    id: str
    commit: str
    ref: str = ""
    blob: str = ""

    @property
    def spec(self) -> str:
        """The record, as git names it."""
        return self.blob or f"{self.commit}:{FOLDER}/{self.id}.json"

    @property
    def key(self) -> str:
        """Equal for places with equal records, for ever."""
        return self.blob or f"{self.commit}:{self.id}"


def by_ref(git: Git) -> list[Place]:
    """The experiments that a ref keeps, in order of id, each once: our own before those that were fetched. Raises `GitError`."""
    lines = git.text("for-each-ref", "--format=%(objectname) %(refname)", REFS, FETCHED).splitlines()
    places: dict[str, Place] = {}
    for line in lines:
        commit, ref = line.split(" ", 1)
        key = ref.rpartition("/")[2]
        places.setdefault(key, Place(key, commit, ref))
    return [places[key] for key in sorted(places)]


def in_trees(git: Git) -> list[Place]:
    """Records in the trees of HEAD and of all branches, each once. Raises `GitError`."""
    listed = git.text("for-each-ref", "--format=%(objectname)", "refs/heads", "refs/remotes").splitlines()
    head = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    commits = dict.fromkeys(([head.out.decode().strip()] if not head.code else []) + listed)
    places: dict[str, Place] = {}
    trees: set[str] = set()
    with ObjectReader(git) as reader:
        for commit, info in zip(commits, reader.infos(f"{commit}:{FOLDER}" for commit in commits), strict=True):
            if info is None or info.kind != "tree" or info.name in trees:
                continue
            trees.add(info.name)
            for line in git.fields("ls-tree", "-z", info.name):
                words, _, name = line.partition("\t")
                _, kind, blob = words.split(" ")
                if name.endswith(".json") and kind == "blob":
                    key = name.removesuffix(".json")
                    places.setdefault(key, Place(key, commit, "", blob))
    return list(places.values())


_FORMAT = "--format=%H%n%cI%n%B"


def by_message(git: Git, also: Iterable[Place] = ()) -> list[Experiment]:
    """Commits whose message tells of a training, newest first: those of HEAD, branches and tags, and `also` these places'. The
    caller leaves out what has a record. Raises `GitError`."""
    wanted = ["--branches", "--remotes", "--tags"]
    if git.ok("rev-parse", "--verify", "--quiet", "HEAD"):
        wanted.append("HEAD")
    out = git.output("log", *wanted, "-E", "--grep=^[Tt]rain(ed)? ", "--grep=^Experiment: ", "-z", _FORMAT)
    commits = [place.commit for place in also]
    if commits:
        given = "".join(f"{commit}\n" for commit in commits).encode()
        out += git.output("log", "--no-walk", "--stdin", "-z", _FORMAT, stdin=given)
    found = []
    for entry in out.decode("utf-8", "replace").split("\0"):
        commit, _, rest = entry.lstrip("\n").partition("\n")
        date, _, text = rest.partition("\n")
        said = message.read(text) if commit else None
        if said is not None:
            known = from_message(said.experiment or commit, said, date)
            found.append(Experiment(known, commit, by_hand=True))
    return found


def from_message(identity: str, said: message.Message, date: str = "") -> Record:
    """What a message tells, as a record."""
    data = [DataVersion("data", said.data)] if said.data else []
    for value in said.trailers.get(message.DATASET, ()):
        path, _, version = value.rpartition("@")
        if path and not any(item.version == version for item in data):
            data.append(DataVersion(path, version))
    return Record(
        id=identity,
        name=said.name,
        started=date,
        code=Code(identity if len(identity) >= 40 else ""),
        parameters=said.parameters,
        metrics=said.metrics,
        hardware=Hardware(said.hardware),
        data=tuple(data),
    )


def remove(git: Git, ids: Iterable[str]) -> None:
    """Forget the refs of experiments, fetched ones too; branches and trees keep what they hold. Raises `GitError`."""
    wanted = set(ids)
    refs = git.text("for-each-ref", "--format=%(refname)", REFS, FETCHED).splitlines()
    lines = "".join(f"delete {ref}\n" for ref in refs if ref.rpartition("/")[2] in wanted)
    if lines:
        git.output("update-ref", "--stdin", stdin=lines.encode())
