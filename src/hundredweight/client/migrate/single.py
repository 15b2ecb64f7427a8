"""`git lfs migrate import --no-rewrite`: one new commit on the current branch, in which some files are LFS objects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.client.migrate.convert import Rewriter, literal_pattern
from hundredweight.client.migrate.newobjects import NewObjects
from hundredweight.client.migrate.plan import Choice
from hundredweight.client.migrate.scope import ScopeReader
from hundredweight.client.migrate.selection import MigrateError, refuse_extensions
from hundredweight.client.migrate.trees import parse_commit
from hundredweight.git.attributes import FILE_NAME, Macros, lfs_patterns, parse
from hundredweight.git.objects import ObjectReader
from hundredweight.git.scan import tree_entries
from hundredweight.git.trees import parse_tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.client.migrate.plan import Listener
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git


def convert_once(workspace: Workspace, paths: Sequence[str], listener: Listener, *, message: str | None = None) -> str:
    """Commit `paths` (relative to the top of the tree) as pointers, on top of HEAD; gives the new commit. The work tree
    is left as it is. The committed `.gitattributes` must give each path to LFS, else `MigrateError`."""
    refuse_extensions(workspace.config)
    if not paths:
        raise MigrateError("Expected one or more files with --no-rewrite")
    git = workspace.git
    head = git.run("rev-parse", "--verify", "--quiet", "HEAD")
    if head.code:
        raise MigrateError("Unable to find current reference: HEAD has no commit")
    parent = head.out.decode().strip()
    with (
        ObjectReader(git) as reader,
        NewObjects(git, workspace.repository.object_format, workspace.store.temp) as new,
    ):
        for path in paths:
            _check(git, reader, parent, path)
        choice = Choice(include=[literal_pattern(path) for path in paths], fixup=True)
        tree = Rewriter(workspace, reader, new, choice, listener).rewrite_root(parse_commit(reader.read(parent)).tree)
        new.publish()
    text = f"{','.join(paths)}: convert to Git LFS" if message is None else message
    commit = git.text("commit-tree", tree, "-p", parent, stdin=text.encode("utf-8", "surrogateescape"))
    git.output("update-ref", "-m", "git lfs migrate import --no-rewrite", "HEAD", commit, parent)
    return commit


def _check(git: Git, reader: ObjectReader, commit: str, path: str) -> None:
    """That the path is a file which the commit's attributes give to LFS."""
    width = len(commit) // 2
    scopes = ScopeReader(reader, width)
    tree = parse_commit(reader.read(commit)).tree
    scope = scopes.enter(None, "", tree)
    folder = ""
    *folders, name = path.split("/")
    for part in folders:
        folder = f"{folder}/{part}" if folder else part
        found = reader.info(f"{commit}:{folder}")
        if found is None or found.kind != "tree":
            raise MigrateError(f'Could not rewrite "{path}": unable to find entry {part} in tree')
        tree = found.name
        scope = scopes.enter(scope, folder, tree)
    if not scope.gives_to_lfs(path):
        if not _mentions_lfs(git, reader, commit):
            raise MigrateError("No Git LFS filters found in '.gitattributes'", hint="run 'git lfs track' and commit")
        raise MigrateError(f"File {path} did not match any Git LFS filters in '.gitattributes'")
    entries = parse_tree(reader.read(tree), width)
    if not any(entry.is_file and entry.name == os.fsencode(name) for entry in entries):
        raise MigrateError(f'Could not rewrite "{path}": unable to find entry {name} in tree')


def _mentions_lfs(git: Git, reader: ObjectReader, commit: str) -> bool:
    """Whether any .gitattributes of the commit gives anything to LFS."""
    blobs = [entry.blob for entry in tree_entries(git, commit) if entry.path.rpartition("/")[2] == FILE_NAME]
    for blob in dict.fromkeys(blobs):
        text = reader.read(blob)
        macros = Macros()
        macros.read(parse(text))
        if any(pattern.is_tracked for pattern in lfs_patterns(text, "", FILE_NAME, macros)):
            return True
    return False
