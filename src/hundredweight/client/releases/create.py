"""`cwt release create`: a tag that says what went live, and the model card in the commit that it names.

`plan` decides everything and changes nothing; `execute` makes the card's commit, then the tag, then moves the branch. A tag that
exists, a key that does not sign, a branch that moved meanwhile: each leaves everything as it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.client.experiments.names import find_experiments
from hundredweight.client.lineage_settings import of_revision
from hundredweight.client.releases import checks
from hundredweight.client.releases.checks import GateClosed, NoWeights, ReleaseRefused
from hundredweight.client.releases.facts import facts_of
from hundredweight.client.releases.naming import choose_name
from hundredweight.client.releases.tagging import make_tag
from hundredweight.formats.names import lfs_patterns
from hundredweight.git.objects import ObjectReader
from hundredweight.git.refs import UnknownRef
from hundredweight.git.trees import change_tree, write_object
from hundredweight.lineage import block, card, releases
from hundredweight.lineage.card import Evaluation
from hundredweight.lineage.record import Status, utc
from hundredweight.lineage.tags import Bump
from hundredweight.lineage.weights import weights_in

if TYPE_CHECKING:
    from hundredweight.client.releases.naming import ReleaseName
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.block import Facts
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.lineage.record import Record
    from hundredweight.lineage.releases import Registry


class ReleasedAlready(ReleaseRefused):
    """The commit is a release of the model already. `name` is that release."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"this commit is '{name}' already, and nothing changed since",
            hint=f"run 'cwt release assign {name} STAGE' to put it somewhere",
        )
        self.name = name


class BranchMoved(CwtError):
    """Somebody moved the branch while the release was made. The tag is gone again; nothing was done."""

    hint = "run the command again"

    def __init__(self, said: str) -> None:
        super().__init__(f"the branch cannot take the model card: {said}")


@dataclass(frozen=True)
class CreateOptions:
    """`name` is a tag, a model or empty; `experiment` whose weights are released, empty for those of HEAD; `weights` are patterns
    instead of the settings'. `force` is the reason to pass the gate. `with_card`: write the model card."""

    name: str = ""
    model: str = ""
    experiment: str = ""
    notes: str = ""
    bump: Bump = Bump.MINOR
    weights: tuple[str, ...] = ()
    force: str = ""
    sign: bool = False
    with_card: bool = True


@dataclass(frozen=True)
class CreatePlan:
    """`base` is the commit whose tree has the weights; `on_head`: it is HEAD's, so that HEAD's branch takes the card. `card` are
    paths with their new contents, empty where it says all this already. `passed` are bounds that force passed."""

    name: ReleaseName
    base: str
    on_head: bool
    facts: Facts
    notes: str
    card: dict[str, bytes]
    passed: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        parts = [f"{releases.SUBJECT} {self.name.tag}", self.notes.strip()]
        version = str(self.name.version) if self.name.version else ""
        return "\n\n".join(part for part in parts if part) + "\n\n" + block.write(self.name.model, version, self.facts)


@dataclass(frozen=True)
class Created:
    """`commit` is what the tag names; `moved` is the branch that took the card, HEAD where none is checked out, or empty."""

    name: str
    model: str
    commit: str
    tag_id: str
    moved: str = ""
    card: tuple[str, ...] = field(default=())


def plan(workspace: Workspace, options: CreateOptions, now: float) -> CreatePlan:
    """What would be released. Raises `ReleaseRefused` and its kin, `BadReleaseName`, `ReleaseExists`, `NoModelName`,
    `NoSuchExperiment`, `RecordInvalid`, `BadWeights`, `UnknownRef`."""
    git = workspace.git
    found, told = find_experiments(workspace, [options.experiment]) if options.experiment else ([], [])
    base, on_head = _base(workspace, found[0] if found else None)
    settings = of_revision(git, base)
    registry = releases.read(git)
    name = choose_name(git, registry, options.name, options.model or settings.model, options.bump)
    # What the settings say is about one model; a repository may hold others.
    is_named_there = settings.model in ("", name.model)
    patterns = options.weights or (settings.weights if is_named_there else _below(name.model))
    if on_head:
        checks.require_committed(workspace)
    checks.require_weights(workspace, base, weights_in(git, base, patterns), patterns)
    record = _finished(found[0].record, options.force) if found else None
    facts = facts_of(workspace, base, experiment=record, hash_weights=True, patterns=patterns, files=is_named_there)
    passed = checks.worse(facts.metrics, settings.minimum, settings.maximum) if is_named_there else ()
    if passed and not options.force:
        raise GateClosed(passed)
    path = settings.card if is_named_there else _card_of(settings.card, name.model)
    evaluation = _evaluation(registry, name, facts, _made_from(record), now)
    changed = _card(workspace, base, path, evaluation) if options.with_card and path else {}
    if not changed:
        _refuse_second(registry, name, base)
    notes = options.notes
    if options.force:
        notes = f"{notes.strip()}\n\nForced: {options.force}" + "".join(f"\n- {reason}" for reason in passed)
    return CreatePlan(name, base, on_head, facts, notes, changed, passed, tuple(told))


def execute(workspace: Workspace, made: CreatePlan, *, sign: bool = False) -> Created:
    """Raises `ReleaseExists`, `TagFailed`, `BranchMoved`, `GitError`: nothing is done then."""
    git = workspace.git
    commit = _commit_card(workspace, made) if made.card else made.base
    tag_id = make_tag(git, made.name.tag, commit, made.message, sign=sign)
    moved = ""
    if commit != made.base and made.on_head:
        try:
            moved = _take(workspace, made, commit)
        except BaseException:
            git.run("update-ref", "-d", f"refs/tags/{made.name.tag}", tag_id)
            raise
    return Created(made.name.tag, made.name.model, commit, tag_id, moved, tuple(made.card))


def _base(workspace: Workspace, found: Experiment | None) -> tuple[str, bool]:
    """The commit to release, and whether it is HEAD: with an experiment HEAD where its tree has those weights (a merge, a
    squash merge, a rebase), else the experiment's own commit."""
    git = workspace.git
    resolved = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    head = resolved.out.decode().strip()
    if found is None:
        if not head:
            raise UnknownRef("HEAD")
        return head, True
    wanted = {(each.path, each.oid) for each in found.record.weights}
    if not wanted:
        raise NoWeights(
            f"the experiment '{found.record.id}' has no weights",
            hint="run 'cwt exp list' for others; 'weights' below [model] in hundredweight.toml says which files are weights",
        )
    if head and wanted <= _held(workspace, head, wanted):
        return head, True
    if not wanted <= _held(workspace, found.commit, wanted):
        raise NoWeights(
            f"neither HEAD nor the commit {found.commit[:12]} has the weights of '{found.record.id}'",
            hint="run 'cwt exp pull' to get the experiment's own commit",
        )
    return found.commit, False


def _held(workspace: Workspace, commit: str, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What of the wanted weights a commit has."""
    patterns = ["/" + "".join(f"\\{sign}" if sign in "*?[\\!" else sign for sign in path) for path, _ in wanted]
    return {(each.path, each.oid) for each in weights_in(workspace.git, commit, patterns)}


def _finished(record: Record, force: str) -> Record:
    if record.status is not Status.DONE and not force:
        raise ReleaseRefused(
            f"the experiment '{record.id}' is {record.status}", hint="release another, or say why with --force REASON"
        )
    return record


def _below(model: str) -> tuple[str, ...]:
    """Which files are the weights of a model that the settings do not tell of: those of the folder in its name."""
    folder, colon, _ = model.partition(":")
    if not colon:
        raise NoWeights(
            f"nothing says which files are the weights of '{model}'",
            hint="give --weights PATTERN, or call it FOLDER:NAME",
        )
    return tuple(f"/{folder}/**/{pattern}" for pattern in lfs_patterns())


def _card_of(card: str, model: str) -> str:
    """In the folder of such a model; without one it has none."""
    folder, colon, _ = model.partition(":")
    return f"{folder}/{card.rpartition('/')[2]}" if colon and card else ""


def _made_from(record: Record | None) -> str:
    return record.base if record is not None else ""


def _refuse_second(registry: Registry, name: ReleaseName, commit: str) -> None:
    """As GTO: a commit is one version of a model at most. Plain names are as many as one likes."""
    if name.version is None:
        return
    for release in registry.of(name.model):
        if release.commit == commit and release.semantic is not None and not release.withdrawn:
            raise ReleasedAlready(release.name)


def _card(workspace: Workspace, base: str, path: str, told: Evaluation) -> dict[str, bytes]:
    """The files of the card at `path` that change."""
    folder, slash, _ = path.rpartition("/")
    results = folder + slash + card.RESULTS
    with ObjectReader(workspace.git) as reader:
        found = [next(iter(reader.contents([f"{base}:{each}"]))) for each in (path, results)]
    before = [each[1] if each is not None and each[0].kind == "blob" else b"" for each in found]
    if before[0]:
        listed = card.front_matter(before[0], path).get("datasets")
        first = listed[0] if isinstance(listed, list) and listed else listed
        told = replace(told, dataset=first) if isinstance(first, str) and first else told
    new = {path: card.update_readme(before[0], told, path)}
    if told.metrics or before[1]:
        new[results] = card.update_results(before[1], told, results)
    return {changed: content for (changed, content), old in zip(new.items(), before, strict=False) if content != old}


def _evaluation(registry: Registry, name: ReleaseName, facts: Facts, made_from: str, now: float) -> Evaluation:
    numbers = {
        metric: value
        for metric, value in facts.metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value == value  # noqa: PLR0124 - nan
    }
    data = facts.data[0] if facts.data else None
    dataset, revision = (data.path, data.version or data.digest[:16]) if data is not None else ("", "")
    former = {metric for release in registry.of(name.model) for metric in release.facts.metrics}
    gone = frozenset(former - numbers.keys())
    return Evaluation(name.model or name.tag, numbers, dataset, revision, utc(now)[:10], made_from, gone)


def _commit_card(workspace: Workspace, made: CreatePlan) -> str:
    """A commit on the base with the card; no branch has it yet."""
    git = workspace.git
    blobs: dict[str, str | None] = {path: write_object(git, "blob", content) for path, content in made.card.items()}
    with ObjectReader(git) as reader:
        tree = change_tree(git, reader, git.text("rev-parse", f"{made.base}^{{tree}}"), blobs)
    said = f"Release {made.name.tag}\n\nThe model card: {', '.join(made.card)}\n"
    sign = ("-S",) if workspace.config.bool("commit.gpgsign", False) else ()
    return git.text("commit-tree", *sign, tree, "-p", made.base, "-F", "-", stdin=said.encode())


def _take(workspace: Workspace, made: CreatePlan, commit: str) -> str:
    """Move HEAD's branch, and index and work tree with it."""
    git = workspace.git
    branch = git.run("symbolic-ref", "--quiet", "HEAD").out.decode("utf-8", "surrogateescape").strip()
    if not workspace.repository.bare:
        read = git.run("read-tree", "-m", "-u", made.base, commit)
        if read.code:
            raise BranchMoved(read.err.decode("utf-8", "replace").strip().splitlines()[0])
    moved = git.run("update-ref", "-m", f"release: {made.name.tag}", "HEAD", commit, made.base)
    if moved.code:
        if not workspace.repository.bare:
            git.run("read-tree", "-m", "-u", commit, "HEAD")
        raise BranchMoved(moved.err.decode("utf-8", "replace").strip().splitlines()[0])
    return branch.removeprefix("refs/heads/") or "HEAD"
