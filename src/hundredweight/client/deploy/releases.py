"""From a name to a commit of the source: its refs say most, the tags about releases and stages the rest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError, RemoteError, UsageError
from hundredweight.git.run import Git, GitError
from hundredweight.lineage import releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.client.deploy.source import Wanted

TAGS = "refs/tags/"
HEADS = "refs/heads/"
FEW = "--filter=combine:tree:2+blob:limit=64k"
"""Of what tags name: commits, and files at the top (`hundredweight.toml` says which model a plain version is of)."""
_HEX = frozenset("0123456789abcdef")


class SourceFailed(RemoteError):
    """The source of a deployment could not be read: no such repository, no network, no right. What is deployed stays."""

    hint = "check the URL and that 'git ls-remote URL' works for the user who deploys, then run the command again"

    def __init__(self, source: str, said: str) -> None:
        super().__init__(f"cannot fetch from '{source}': {said}", temporary=True)
        self.source = source


class NoSuchVersion(UsageError):
    """The source has no release, branch, commit or stage of that name."""

    def __init__(self, text: str, *, hint: str = "") -> None:
        super().__init__(
            f"'{text}' names no version of its source",
            hint=hint or "run 'git ls-remote --tags --heads SOURCE' or 'cwt release list' for the names there are",
        )


class ReleaseContradicted(DamageError):
    """The tag of a release tells of other weights than its commit has: one of them was forged, or a tag was moved by
    hand. Nothing
    was deployed."""

    hint = "ask who made the release; 'cwt release show' and 'cwt verify' tell more"

    def __init__(self, name: str, path: str, expected: str, got: str) -> None:
        super().__init__(f"the release '{name}' says that '{path}' is {expected[:12]}, but its commit has {got[:12]}")
        self.path = path
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True)
class Found:
    """What to fetch: the full name of a ref, or a commit's id; `release` is the name of a tag, or empty."""

    fetch: str
    release: str = ""


def find(wanted: Wanted, store: Git, tags: str, source: str) -> Found:
    """`store` is git in a repository whose remote `origin` is the source, `tags` a folder for facts about its tags;
    `source` is what
    to call it. Raises `SourceFailed`, `NoSuchVersion`, `AmbiguousRelease`."""
    refs = _listed(store, source)
    if wanted.stage:
        return _in_stage(wanted, _tags(store, tags, source), refs)
    ref = wanted.ref
    if TAGS + ref in refs:
        return Found(TAGS + ref, ref)
    if HEADS + ref in refs:
        return Found(HEADS + ref)
    if ref == "HEAD" or ref in refs:
        return Found(ref, ref.removeprefix(TAGS) if ref.startswith(TAGS) else "")
    if len(ref) in (40, 64) and _HEX.issuperset(ref):
        return Found(ref)
    release = releases.resolve(_tags(store, tags, source), ref) if _has_tags(refs) else None
    if release is not None:
        return Found(TAGS + release.name, release.name)
    commit = _abbreviated(wanted, store, refs)
    if not commit:
        raise NoSuchVersion(wanted.text, hint=_full_id(ref))
    return Found(commit)


def check_facts(store: Git, name: str, objects: Mapping[str, str]) -> None:
    """Compare what the tag of a release tells about its weights with the files of its commit, by path and object id. Raises
    `ReleaseContradicted`."""
    release = releases.read(store).tags.get(name)
    for weights in release.facts.weights if release is not None else ():
        found = objects.get(weights.path)
        if found is not None and weights.oid and found != weights.oid:
            raise ReleaseContradicted(name, weights.path, weights.oid, found)


def _listed(store: Git, source: str) -> dict[str, str]:
    """The refs of the source, tags with what they lead to."""
    try:
        out = store.text("ls-remote", "--quiet", "origin")
    except GitError as error:
        raise SourceFailed(source, git_words(error)) from error
    return {name: object_id for object_id, _, name in (line.partition("\t") for line in out.splitlines())}


def git_words(error: GitError) -> str:
    """What git said, in a line."""
    lines = [line for line in error.stderr.splitlines() if line.startswith(("fatal: ", "error: "))]
    first = (lines or error.stderr.splitlines() or [str(error)])[0]
    return first.removeprefix("fatal: ").removeprefix("error: ").rstrip(".")


def _has_tags(refs: dict[str, str]) -> bool:
    return any(name.startswith(TAGS) for name in refs)


def _tags(store: Git, folder: str, source: str) -> Git:
    """git in a repository that has the tags of the source, with hardly more than their commits."""
    git = store.at(folder)
    url = store.text("config", "remote.origin.url")
    try:
        if not os.path.exists(os.path.join(folder, "HEAD")):
            store.at("").output("init", "-q", "--bare", folder)
        git.output("config", "remote.origin.url", url)
        git.output(
            *("fetch", "--quiet", "--depth=1", "--no-tags", "--prune", "--no-write-fetch-head", FEW),
            *("origin", "+refs/tags/*:refs/tags/*"),
        )
    except GitError as error:
        raise SourceFailed(source, git_words(error)) from error
    return git


def _in_stage(wanted: Wanted, git: Git, refs: dict[str, str]) -> Found:
    """What is in a stage now: its release, or where that has no tag of its own, the commit."""
    registry = releases.read(git)
    model, mark, stage = wanted.ref.rpartition("#")
    there = [one for one in ((model,) if mark else _models(registry)) if registry.in_stage(one, stage) is not None]
    if len(there) > 1:
        raise releases.AmbiguousRelease(wanted.text, (f"SOURCE#{one}#{stage}" for one in there if one))
    assigned = registry.in_stage(there[0], stage) if there else None
    if assigned is None:
        raise NoSuchVersion(
            wanted.text,
            hint=f"nothing is in the stage '{stage}': 'cwt release assign NAME {stage}' puts a release there",
        )
    if assigned.release and TAGS + assigned.release in refs:
        return Found(TAGS + assigned.release, assigned.release)
    return Found(TAGS + assigned.tag)


def _models(registry: releases.Registry) -> tuple[str, ...]:
    return tuple(dict.fromkeys(assigned.model for assigned in registry.assignments))


def _abbreviated(wanted: Wanted, store: Git, refs: dict[str, str]) -> str:
    """The full id of a commit that is named by the first characters of its id, where a ref or the source's folder knows it."""
    if wanted.local:
        found = Git(wanted.source, store.env).run("rev-parse", "--verify", "--quiet", f"{wanted.ref}^{{commit}}")
        if found.code == 0:
            return os.fsdecode(found.out).strip()
    ref = wanted.ref.lower()
    if len(ref) < 7 or not _HEX.issuperset(ref):
        return ""
    fitting = {object_id for object_id in refs.values() if object_id.startswith(ref)}
    return fitting.pop() if len(fitting) == 1 else ""


def _full_id(ref: str) -> str:
    return "give the whole id of the commit" if len(ref) >= 7 and _HEX.issuperset(ref.lower()) else ""
