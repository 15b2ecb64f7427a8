"""Releases and stages, from the tags of a repository: ours, GTO's, and plain ones.

A stage works as in GTO: each assignment puts a version there on top of those that are there already, and ending it brings back
the one below. Order is time, then the number in the tag's name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.git.objects import ObjectReader
from hundredweight.lineage import block, tags
from hundredweight.lineage.block import Facts
from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.record import utc
from hundredweight.lineage.settings import FILE, parse
from hundredweight.lineage.tags import Kind, TagName, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hundredweight.git.run import Git

__all__ = ["Assignment", "Facts", "Period", "Registry", "Release", "assignments", "find_releases", "read", "resolve"]

SUBJECT = "Release"
"""What the message of a release's tag begins with, before its name."""
RELEASE_TRAILER = "Release: "
"""In an assignment's message: which release of that commit is meant."""
LATEST = ("latest", "greatest")
DEPLOYED = "deployed/"
"""Tags below this tell of deployments (client/deploy), not of releases."""


class AmbiguousRelease(UsageError):
    """A stage or version is one of several models. `choices` are names that tell them apart."""

    def __init__(self, name: str, choices: Iterable[str]) -> None:
        self.choices = tuple(choices)
        super().__init__(f"'{name}' is ambiguous", hint=f"name one of {', '.join(self.choices)}")


@dataclass(frozen=True, slots=True)
class Release:
    """`name` is the tag's; `version` its semantic version (`v1.2.0`), or empty; `tag_id` the tag object, of a lightweight tag the
    commit; `created` in UTC; `author` `Name <email>`; `notes` the message without the block. `fault` says why the block could
    not be read. `withdrawn`: by a later tag, of this version or of the whole model."""

    name: str
    model: str
    version: str
    tag_id: str
    commit: str
    created: str
    author: str
    notes: str
    signed: bool
    facts: Facts
    withdrawn: bool = False
    fault: str = ""

    @property
    def semantic(self) -> Version | None:
        return tags.parse_version(self.version)


@dataclass(frozen=True, slots=True)
class Assignment:
    """One tag about a stage. `release` is the name of the release that went there, empty where the commit has none, None where
    the tag ends that of `commit`. `number` is 0 for a tag without one."""

    model: str
    stage: str
    number: int
    release: str | None
    tag: str
    when: str
    who: str
    commit: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """From when until when (empty: still) one version was in a stage; `who` put it there by `tag`."""

    model: str
    stage: str
    release: str
    commit: str
    since: str
    until: str
    who: str
    tag: str


@dataclass(frozen=True, slots=True)
class Registry:
    """All that the tags say. Releases, the oldest first; assignments in order."""

    releases: tuple[Release, ...]
    assignments: tuple[Assignment, ...]
    tags: dict[str, Release] = field(default_factory=dict)
    """Every tag that names a commit and is about no stage, also those that are no releases."""

    def of(self, model: str) -> tuple[Release, ...]:
        return tuple(release for release in self.releases if release.model == model)

    @property
    def models(self) -> tuple[str, ...]:
        found = [release.model for release in self.releases] + [assigned.model for assigned in self.assignments]
        return tuple(dict.fromkeys(model for model in found if model))

    def latest(self, model: str) -> Release | None:
        """The highest version that counts; where none has a semantic version, the newest."""
        counting = [release for release in self.of(model) if not release.withdrawn]
        versions = [(release.semantic, place) for place, release in enumerate(counting) if release.semantic is not None]
        if versions:
            return counting[max(versions)[1]]
        return counting[-1] if counting else None

    def in_stage(self, model: str, stage: str) -> Assignment | None:
        """What is in a stage now."""
        held = self.held(model, stage)
        return held[-1] if held else None

    def held(self, model: str, stage: str) -> list[Assignment]:
        """All assignments that were not ended; the last one counts, and the one before it when that ends."""
        stack = _Stack()
        for assigned in self._about(model, stage):
            stack.take(assigned)
        return stack.held

    def stages(self, model: str) -> dict[str, Assignment]:
        """What is in each stage of a model, of those that are not empty."""
        names = dict.fromkeys(assigned.stage for assigned in self.assignments if assigned.model == model)
        found = ((stage, self.in_stage(model, stage)) for stage in names)
        return {stage: assigned for stage, assigned in found if assigned is not None}

    def history(self, model: str = "", stage: str = "") -> tuple[Period, ...]:
        """Who was where from when until when, in order; of all models and stages, unless one is named."""
        pairs = dict.fromkeys((assigned.model, assigned.stage) for assigned in self.assignments)
        chosen = (pair for pair in pairs if model in ("", pair[0]) and stage in ("", pair[1]))
        periods = [period for pair in chosen for period in self._periods(*pair)]
        return tuple(sorted(periods, key=lambda period: period.since))

    def next_number(self, model: str) -> int:
        """Of the model's next assignment: GTO counts over all stages of a model."""
        return max((assigned.number for assigned in self.assignments if assigned.model == model), default=0) + 1

    def resolve(self, name: str) -> Release | None:
        """A tag; `model@latest`, `model@v1.2.0`, `model#prod`; `v1.2.0` or a stage's name where only one model has it. Raises
        `AmbiguousRelease`."""
        if name in self.tags:
            return self.tags[name]
        model, at, version = name.rpartition("@")
        if at:
            return self.latest(model) if version in LATEST else self._version(model, version)
        model, hash_sign, stage = name.rpartition("#")
        if hash_sign:
            return self._staged(model, stage)
        return self._alone(name)

    def named(self, assigned: Assignment) -> Release | None:
        """The release that an assignment put into a stage."""
        return self.tags.get(assigned.release) if assigned.release else None

    def _about(self, model: str, stage: str) -> Iterator[Assignment]:
        return (each for each in self.assignments if each.model == model and each.stage == stage)

    def _version(self, model: str, text: str) -> Release | None:
        version = tags.parse_version(text)
        return next((each for each in self.of(model) if version is not None and each.semantic == version), None)

    def _staged(self, model: str, stage: str) -> Release | None:
        assigned = self.in_stage(model, stage)
        return self.named(assigned) if assigned is not None else None

    def _alone(self, name: str) -> Release | None:
        version = tags.parse_version(name)
        if version is not None:
            found = [release for release in self.releases if release.semantic == version]
            if len(found) > 1:
                raise AmbiguousRelease(name, (release.name for release in found))
            return found[0] if found else None
        if name in LATEST:
            models = list(dict.fromkeys(release.model for release in self.releases))
            if len(models) > 1:
                raise AmbiguousRelease(name, (f"{model}@{name}" for model in models if model))
            return self.latest(models[0]) if models else None
        staged = [model for model in self.models if self.in_stage(model, name) is not None]
        if len(staged) > 1:
            raise AmbiguousRelease(name, (f"{model}#{name}" for model in staged))
        return self._staged(staged[0], name) if staged else None

    def _periods(self, model: str, stage: str) -> Iterator[Period]:
        stack = _Stack()
        shown: Assignment | None = None
        since = ""
        for change in self._about(model, stage):
            stack.take(change)
            top = stack.top
            if top is not None and shown is not None and (top.commit, top.release) == (shown.commit, shown.release):
                continue
            if shown is not None:
                yield _period(shown, since, change.when)
            shown, since = top, change.when
        if shown is not None:
            yield _period(shown, since, "")


class _Stack:
    """The versions in one stage, by the order of their assignments."""

    def __init__(self) -> None:
        self._held: dict[str, Assignment] = {}

    def take(self, change: Assignment) -> None:
        self._held.pop(change.commit, None)
        if change.release is not None:
            self._held[change.commit] = change

    @property
    def held(self) -> list[Assignment]:
        return list(self._held.values())

    @property
    def top(self) -> Assignment | None:
        return next(reversed(self._held.values()), None)


def find_releases(git: Git) -> tuple[Release, ...]:
    """All releases, the oldest first. Raises `GitError`."""
    return read(git).releases


def assignments(git: Git) -> tuple[Assignment, ...]:
    """All tags about stages, in order. Raises `GitError`."""
    return read(git).assignments


def resolve(git: Git, name: str) -> Release | None:
    """The release that a name means (`Registry.resolve`). Raises `AmbiguousRelease`, `GitError`."""
    return read(git).resolve(name)


def read(git: Git) -> Registry:
    """What the tags of a repository say. Raises `GitError`."""
    listed = _with_models(git, sorted(_tags(git), key=lambda tag: (tag.seconds, tag.parsed.number, tag.parsed.name)))
    withdrawn = _withdrawn(listed)
    known: dict[str, Release] = {}
    releases = []
    for tag in listed:
        if tag.parsed.kind not in (Kind.VERSION, Kind.PLAIN) or tag.parsed.name.startswith(DEPLOYED):
            continue
        release = replace(tag.release(), withdrawn=tag.parsed.name in withdrawn)
        known[release.name] = release
        if tag.parsed.kind is Kind.VERSION or tag.told or tags.looks_like_version(release.name):
            releases.append(release)
    return Registry(tuple(releases), tuple(_assignments(listed, releases)), known)


@dataclass(frozen=True, slots=True)
class _Tag:
    """A tag as git lists it. `told` is its block's JSON, `message` what is beside."""

    parsed: TagName
    tag_id: str
    commit: str
    seconds: int
    author: str
    message: str
    told: str
    signed: bool
    model: str = ""

    def release(self) -> Release:
        said, fault = None, ""
        if self.told:
            try:
                said = block.read(self.told, f"the tag '{self.parsed.name}'")
            except RecordInvalid as error:
                fault = str(error)
        version = str(self.parsed.version) if self.parsed.version else ""
        return Release(
            self.parsed.name,
            self.parsed.model or (said.model if said else "") or self.model,
            version or (said.release if said else ""),
            self.tag_id,
            self.commit,
            utc(self.seconds),
            self.author,
            self.message.removeprefix(f"{SUBJECT} {self.parsed.name}").strip(),
            self.signed,
            said.facts if said else Facts(),
            fault=fault,
        )


_FIELDS = (
    "refname:strip=2", "objectname", "objecttype", "*objectname", "*objecttype", "creatordate:unix",
    "taggername", "taggeremail", "authorname", "authoremail", "contents:signature", "contents",
)  # fmt: skip


def _tags(git: Git) -> Iterator[_Tag]:
    """All tags that lead to commits."""
    form = "".join(f"%({name})%00" for name in _FIELDS)
    values = git.output("for-each-ref", f"--format={form}", "refs/tags").decode("utf-8", "surrogateescape").split("\0")
    for start in range(0, len(values) - len(_FIELDS), len(_FIELDS)):
        name, object_id, kind, target, target_kind, seconds, *rest = values[start : start + len(_FIELDS)]
        tagger, email, author, author_email, signature, contents = rest
        commit = target if kind == "tag" else object_id
        if "tag" in (kind, target_kind) and target_kind != "commit":
            peeled = git.run("rev-parse", "--verify", "--quiet", f"{object_id}^{{commit}}")
            commit, target_kind = peeled.out.decode().strip(), "" if peeled.code else "commit"
        if (target_kind if kind == "tag" else kind) != "commit":
            continue
        message = contents.removesuffix("\n").removesuffix(signature.removesuffix("\n")) if signature else contents
        # Only a name must come back as the bytes that it was.
        said, told = block.split(_readable(message))
        who = f"{tagger} {email}" if kind == "tag" else f"{author} {author_email}"
        parsed = tags.parse(name.removeprefix("\n"))
        yield _Tag(
            parsed,
            object_id,
            commit,
            int(seconds or 0),
            _readable(who.strip()),
            said,
            told,
            bool(signature) and kind == "tag",
        )


def _readable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _with_models(git: Git, listed: list[_Tag]) -> list[_Tag]:
    """Tags that name no model get that of their commit's settings."""
    lacking = {tag.commit: "" for tag in listed if not tag.parsed.model}
    with ObjectReader(git) as reader:
        for commit, found in zip(lacking, reader.contents(f"{commit}:{FILE}" for commit in lacking), strict=True):
            if found is not None:
                lacking[commit] = _model_in(found[1])
    return [replace(tag, model=tag.parsed.model or lacking[tag.commit]) for tag in listed]


def _model_in(data: bytes) -> str:
    try:
        return parse(data).model
    except RecordInvalid:
        # Of a former commit: nobody can mend it any more, and the tag has a name without it.
        return ""


def _withdrawn(listed: list[_Tag]) -> set[str]:
    """Names of version tags that a later tag takes back, unless a still later one of the same version is there again."""
    found: set[str] = set()
    for tag in listed:
        if tag.parsed.kind is Kind.WITHDRAWN:
            found |= {each.parsed.name for each in listed if _same_version(each.parsed, tag.parsed)}
        elif tag.parsed.kind is Kind.DEPRECATED:
            found |= {
                each.parsed.name
                for each in listed
                if each.parsed.kind is Kind.VERSION
                and each.parsed.model == tag.parsed.model
                and each.seconds <= tag.seconds
            }
        elif tag.parsed.kind is Kind.VERSION:
            found.discard(tag.parsed.name)
    return found


def _same_version(one: TagName, other: TagName) -> bool:
    return one.kind is Kind.VERSION and (one.model, one.version) == (other.model, other.version)


def _assignments(listed: list[_Tag], releases: list[Release]) -> Iterator[Assignment]:
    """In order. What is withdrawn leaves its stages, as in GTO."""
    named = _names(releases)
    held: dict[tuple[str, str], set[str]] = {}
    for tag in listed:
        parsed, about = tag.parsed, tag.message
        went: str | None = None
        if parsed.kind in (Kind.ASSIGNED, Kind.UNASSIGNED):
            meant, about = _release_meant(tag, named)
            stages = [parsed.stage]
            went = meant if parsed.kind is Kind.ASSIGNED else None
            held.setdefault((parsed.model, tag.commit), set()).add(parsed.stage)
        elif parsed.kind is Kind.WITHDRAWN:
            stages = sorted(held.get((parsed.model, tag.commit), ()))
        else:
            continue
        for stage in stages:
            yield Assignment(
                parsed.model, stage, parsed.number, went, parsed.name, utc(tag.seconds), tag.author, tag.commit, about
            )


def _names(releases: list[Release]) -> dict[tuple[str, str], list[str]]:
    """The releases of each model at each commit; first that with a version, which is what GTO means."""
    found: dict[tuple[str, str], list[str]] = {}
    for release in sorted(releases, key=lambda release: "@" not in release.name):
        found.setdefault((release.model, release.commit), []).append(release.name)
    return found


def _release_meant(tag: _Tag, named: dict[tuple[str, str], list[str]]) -> tuple[str, str]:
    """Which release an assignment is about, empty where its commit has none; and the message without that."""
    choices = named.get((tag.parsed.model, tag.commit), [])
    lines = tag.message.split("\n")
    trailer = next((line for line in lines if line.startswith(RELEASE_TRAILER)), "")
    said = trailer.removeprefix(RELEASE_TRAILER).strip()
    meant = said if said in choices else next(iter(choices), "")
    return meant, "\n".join(line for line in lines if not trailer or line != trailer).strip()


def _period(shown: Assignment, since: str, until: str) -> Period:
    return Period(shown.model, shown.stage, shown.release or "", shown.commit, since, until, shown.who, shown.tag)
