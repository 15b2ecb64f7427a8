"""What is verified: one commit, read once, for all checks."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.client.lineage_settings import of_revision, of_work_tree
from hundredweight.client.revisions import UnknownRevision, commit_of
from hundredweight.git.attributes import FILE_NAME, rules_of
from hundredweight.git.objects import ObjectReader
from hundredweight.git.patterns import PathFilter
from hundredweight.git.scan import EMPTY_TREES, read_pointers, tree_entries
from hundredweight.protocol.pointer import CUTOFF

if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.attributes import AttributeRules
    from hundredweight.git.run import Git
    from hundredweight.git.scan import BlobEntry
    from hundredweight.lineage.settings import LineageSettings
    from hundredweight.protocol.pointer import Pointer

SHORTEST_POINTER = 100
"""Bytes; what is shorter need not be read to know that it is none."""
MAX_CARD = 1 << 20
_RECOMMENDED = re.compile(
    r"^[\s>*_#|-]*recommended(?:[ _-](?:release|version|model|tag))?[*_]*\s*[:|][*_]*[\s`\"'\[]*"
    r"(?P<name>[\w./+-]+[@#][\w.@#/+-]+|v?\d+\.[\w./+-]+)",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Subject:
    """`revision` is empty for the work tree; then `commit` is what it should be, HEAD. `pointers` by path."""

    workspace: Workspace
    revision: str
    commit: str
    entries: tuple[BlobEntry, ...]
    pointers: dict[str, Pointer]
    rules: AttributeRules
    settings: LineageSettings
    weights: PathFilter | None = None
    """What the settings call weights, where they do."""

    @property
    def git(self) -> Git:
        return self.workspace.git

    @property
    def is_work_tree(self) -> bool:
        return not self.revision


def read_subject(workspace: Workspace, revision: str) -> Subject:
    """Raises `UnknownRevision`, `ScanError`, `RecordInvalid`."""
    git = workspace.git
    try:
        commit = commit_of(git, revision or "HEAD")
    except UnknownRevision:
        if revision:
            raise
        # Before the first commit there is nothing to hold the work tree against.
        commit = EMPTY_TREES[git.text("rev-parse", "--show-object-format")]
    entries = tuple(tree_entries(git, commit))
    small = ((e.blob, e.path) for e in entries if e.is_regular and SHORTEST_POINTER <= e.size < CUTOFF)
    pointers = {file.path: file.pointer for file in read_pointers(git, small)}
    settings = of_revision(git, commit) if revision else of_work_tree(workspace)
    weights = PathFilter(settings.weights) if settings.weights else None
    return Subject(workspace, revision, commit, entries, pointers, _rules(git, entries), settings, weights)


def recommended(subject: Subject) -> tuple[str, bool]:
    """The name of the release that a checkout should be, and whether `hundredweight.toml` says so; else a line `recommended:
    NAME` in the model card does, which may mean something else. An older commit cannot know: what is an ancestor of the main
    branch goes by what that says. Empty where nothing is recommended."""
    newest = _main_branch(subject.git, subject.commit)
    if newest:
        return _said(subject.git, newest, of_revision(subject.git, newest))
    return _said(subject.git, subject.commit, subject.settings)


def _said(git: Git, commit: str, settings: LineageSettings) -> tuple[str, bool]:
    if settings.recommended:
        return settings.recommended, True
    with ObjectReader(git) as reader:
        info = reader.info(f"{commit}:{settings.card}")
        if info is None or info.kind != "blob" or info.size > MAX_CARD:
            return "", False
        text = reader.read(info.name).decode("utf-8", "replace")
    match = _RECOMMENDED.search(text)
    return (match["name"].rstrip(".") if match else ""), False


def _main_branch(git: Git, commit: str) -> str:
    """The remote's main branch as known here, else the local one, where `commit` is an older state of it; else empty."""
    heads = git.text("for-each-ref", "--format=%(refname)", "refs/remotes/*/HEAD").splitlines()
    names = git.text("for-each-ref", "--format=%(refname)", "refs/heads/main", "refs/heads/master").splitlines()
    for name in heads + names:
        found = git.run("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
        newest = os.fsdecode(found.out).strip()
        if not found.code and newest != commit and git.ok("merge-base", "--is-ancestor", commit, newest):
            return newest
    return ""


def _rules(git: Git, entries: tuple[BlobEntry, ...]) -> AttributeRules:
    files = [entry for entry in entries if os.path.basename(entry.path) == FILE_NAME]
    with ObjectReader(git) as reader:
        contents = reader.contents(entry.blob for entry in files)
        pairs = zip(files, contents, strict=True)
        return rules_of([(entry.path, found[1]) for entry, found in pairs if found is not None])
