"""Whether others get from the remote what is here: the objects of the commit, and the tags."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hundredweight.client.verify.findings import Finding, Severity, command
from hundredweight.git import refs
from hundredweight.git.refs import TAGS
from hundredweight.protocol.batch import BASIC, DOWNLOAD, Wanted
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hundredweight.client.verify.subject import Subject
    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.releases import Registry

BATCH = 100
WORKERS = 4
_PEELED = "^{}"


def chosen_remote(workspace: Workspace, name: str) -> str:
    """The remote that is meant: the one named, or the usual one. Raises `InvalidRemote`."""
    found = name or refs.default_remote(workspace.config, refs.current_branch(workspace.git))
    refs.check_remote(workspace.config, found)
    return found


def check_objects(subject: Subject, remote: str) -> Iterator[Finding]:
    """Ask the server for each object of the commit, without downloading any. Raises `BatchFailed`."""
    workspace = subject.workspace
    wanted = {pointer.oid: pointer for pointer in subject.pointers.values() if pointer.size}
    paths = {pointer.oid: path for path, pointer in subject.pointers.items()}
    asked = [Wanted(oid, pointer.size) for oid, pointer in wanted.items()]
    git_dir = workspace.repository.git_dir
    with open_server(workspace.config, workspace.git, workspace.variables, remote, DOWNLOAD, git_dir=git_dir) as server:

        def lacking(some: list[Wanted]) -> list[Wanted]:
            answer = server.batch(DOWNLOAD, some, transfers=(BASIC,))
            there = {each.oid for each in answer.objects if each.error is None and DOWNLOAD in each.actions}
            return [each for each in some if each.oid not in there]

        chunks = [asked[start : start + BATCH] for start in range(0, len(asked), BATCH)]
        with ThreadPoolExecutor(WORKERS) as pool:
            for found in pool.map(lacking, chunks):
                for each in found:
                    yield _missing(workspace, remote, paths[each.oid], each)


def _missing(workspace: Workspace, remote: str, path: str, wanted: Wanted) -> Finding:
    here = workspace.store.has(wanted.oid, wanted.size)
    lack = "" if here else ", nor is it here"
    mend = command("git", "lfs", "push", *(("--object-id", remote, wanted.oid) if here else ("--all", remote)))
    text = f"its object {wanted.oid[:12]} is not on '{remote}'{lack}: nobody can check it out"
    return Finding("remote", "missing-on-remote", text, path, mend)


def check_remote_tags(subject: Subject, remote: str, registry: Registry) -> Iterator[Finding]:
    """Compare tags with the remote's of the same names. Raises `GitError`."""
    there = _tags_at(subject, remote)
    here = {ref.name: ref.commit for ref in refs.all_refs(subject.git, TAGS)}
    for name, object_id in here.items():
        other = there.get(name)
        if other is not None and other != object_id:
            text = f"the tag '{name}' is another here ({object_id[:12]}) than on '{remote}' ({other[:12]})"
            mend = command("git", "fetch", "--force", remote, f"{TAGS}{name}:{TAGS}{name}")
            yield Finding("remote", "moved-tag", text, mend=mend)
    for release in registry.releases:
        if release.name not in there:
            text = f"the release '{release.name}' is not on '{remote}'"
            mend = command("git", "push", remote, f"{TAGS}{release.name}")
            yield Finding("remote", "unpushed-tag", text, mend=mend, severity=Severity.WARNING)


def _tags_at(subject: Subject, remote: str) -> dict[str, str]:
    lines = subject.git.text("ls-remote", "-q", "--tags", remote).splitlines()
    pairs = (line.split("\t", 1) for line in lines)
    return {name.removeprefix(TAGS): object_id for object_id, name in pairs if not name.endswith(_PEELED)}
