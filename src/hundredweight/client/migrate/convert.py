"""`git lfs migrate import`: rewrite history so that chosen files are LFS objects from the first commit on.

Commits are taken parents first. A tree is rewritten once per path at which it stands; blobs go through `BlobConverter`;
new objects collect in one pack. Only when all is done does git get the pack, and after that the refs move in one
transaction: until then, whatever happens, the repository is as it was (the local store may hold objects more).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from hundredweight.base.files import write_file
from hundredweight.client.migrate.blobs import BlobConverter
from hundredweight.client.migrate.newobjects import NewObjects
from hundredweight.client.migrate.plan import GITS_OWN_FILES
from hundredweight.client.migrate.scope import Scope, ScopeReader
from hundredweight.client.migrate.selection import MigrateError, Ref, all_refs, refuse_extensions, select_commits
from hundredweight.client.migrate.trees import (
    MAX_DEPTH,
    Commit,
    attributes_blob,
    encode_commit,
    encode_tag,
    parse_commit,
    tag_target,
    with_attributes,
)
from hundredweight.git.objects import MissingObject, ObjectReader
from hundredweight.git.trees import Entry, encode_tree, parse_tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hundredweight.client.migrate.plan import Choice, Listener
    from hundredweight.client.migrate.selection import Selection
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git

_LFS = "filter=lfs diff=lfs merge=lfs -text"
_NOT_LFS = "!text -filter -merge -diff"
_WHITE_SPACE = frozenset("\n\t\r\v\f")


@dataclass(frozen=True)
class Move:
    """A ref (or a detached HEAD) that changes. `kept` says that it points into the looked-at history, unchanged."""

    ref: Ref
    target: str

    @property
    def kept(self) -> bool:
        return self.ref.target == self.target


def convert(
    workspace: Workspace, selection: Selection, choice: Choice, listener: Listener, *, object_map: str = ""
) -> list[Move]:
    """Rewrite and move the refs; the work tree is left as it is. `object_map` is the path of a file to be made with a
    line `OLD,NEW` for each changed commit. Raises `MigrateError`, `MissingObject`, `GitError`."""
    refuse_extensions(workspace.config)
    if object_map and os.path.lexists(object_map):
        raise MigrateError(f"could not create object map file: '{object_map}' exists")
    git = workspace.git.with_env(GIT_NO_REPLACE_OBJECTS="1")
    commits = select_commits(git, selection, listener, bare=workspace.repository.bare)
    with (
        ObjectReader(git) as reader,
        NewObjects(git, workspace.repository.object_format, workspace.store.temp) as new,
    ):
        rewriter = Rewriter(workspace, reader, new, choice, listener)
        rewriter.rewrite(commits)
        moves = _plan_moves(git, rewriter.commits, reader, new)
        new.publish()
    if object_map:
        changed = [f"{old},{now}\n" for old, now in rewriter.commits.items() if old != now]
        write_file(object_map, "".join(changed).encode())
    _move(workspace, [move for move in moves if not move.kept])
    for move in moves:
        listener.moved(move.ref.short, move.ref.target, move.target)
    return moves


class Rewriter:
    """From old commits to new ones. `commits` maps each commit looked at to what it became."""

    def __init__(
        self, workspace: Workspace, reader: ObjectReader, new: NewObjects, choice: Choice, listener: Listener
    ) -> None:
        self.commits: dict[str, str] = {}
        self._width = 32 if workspace.repository.object_format == "sha256" else 20
        self._reader = reader
        self._new = new
        self._choice = choice
        self._listener = listener
        self._blobs = BlobConverter(reader, workspace.store, new)
        self._scopes = ScopeReader(reader, self._width) if choice.fixup else None
        self._patterns = dict.fromkeys(_lines_for(choice))
        self._explicit = bool(self._patterns)
        self._trees: dict[tuple[str, str, object], str] = {}
        self._told: set[tuple[str, str]] = set()
        self._attributes: dict[tuple[str, int], str] = {}
        self._commit = ""

    def rewrite(self, commits: Sequence[str]) -> None:
        """Fill `commits`. Parents have to come before their children."""
        for number, (name, data) in enumerate(self._read_commits(commits), 1):
            self._commit = name
            old = parse_commit(data)
            new = Commit(self.rewrite_root(old.tree), [self.commits.get(parent, parent) for parent in old.parents])
            self.commits[name] = name if new == old else self._new.add("commit", encode_commit(data, new))
            self._listener.commit(number)

    def _read_commits(self, commits: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        """In groups: the reader must be free for trees while one commit is worked on."""
        pending = iter(commits)
        while group := list(islice(pending, 400)):
            for name, content in zip(group, list(self._reader.contents(group)), strict=True):
                if content is None:
                    raise MissingObject(name)
                yield name, content[1]

    def rewrite_root(self, tree: str) -> str:
        """What a commit's tree becomes."""
        scope = self._scopes.enter(None, "", tree) if self._scopes else None
        old = parse_tree(self._reader.read(tree), self._width)
        entries = self._rewrite_entries(old, "", scope, 0)
        if self._patterns and not self._choice.fixup:
            entries = self._track(entries)
        return tree if entries == old else self._new.add("tree", encode_tree(entries))

    def _track(self, entries: list[Entry]) -> list[Entry]:
        """The root tree with our patterns in its .gitattributes; those that are there stay as they are."""
        theirs = attributes_blob(entries, any_case=True)
        key = (theirs, len(self._patterns))
        if key not in self._attributes:
            text = self._reader.read(theirs) if theirs else b""
            known = {line.rstrip(b"\r") for line in text.split(b"\n")}
            missing = [line for line in map(os.fsencode, self._patterns) if line not in known]
            if text and not text.endswith(b"\n"):
                text += b"\n"
            merged = text + b"".join(line + b"\n" for line in missing)
            self._attributes[key] = self._new.add("blob", merged) if missing else theirs
        return with_attributes(entries, self._attributes[key])

    def _rewrite_tree(self, tree: str, path: str, scope: Scope | None, depth: int) -> str:
        key = (path, tree, scope.key if scope else None)
        if key not in self._trees:
            if depth > MAX_DEPTH:
                raise MigrateError(f"'{path[:80]}...' is more than {MAX_DEPTH} folders deep")
            old = parse_tree(self._reader.read(tree), self._width)
            entries = self._rewrite_entries(old, path + "/", scope, depth)
            self._trees[key] = tree if entries == old else self._new.add("tree", encode_tree(entries))
        return self._trees[key]

    def _rewrite_entries(self, entries: list[Entry], prefix: str, scope: Scope | None, depth: int) -> list[Entry]:
        files = self._convert_files(entries, prefix, scope)
        result = []
        for entry in entries:
            name = entry.object
            if entry.is_tree:
                path = prefix + os.fsdecode(entry.name)
                inner = self._scopes.enter(scope, path, name) if self._scopes else None
                name = self._rewrite_tree(name, path, inner, depth + 1)
            elif entry.is_file:
                name = files.get(entry.name, name)
            result.append(entry if name == entry.object else entry._replace(object=name))
        return result

    def _convert_files(self, entries: list[Entry], prefix: str, scope: Scope | None) -> dict[bytes, str]:
        """Of the chosen files: name -> new blob."""
        chosen = [entry for entry in entries if entry.is_file and self._chosen(entry, prefix, scope)]
        if self._choice.above:
            sizes = self._blobs.sizes(entry.object for entry in chosen)
            chosen = [entry for entry in chosen if sizes[entry.object] >= self._choice.above]
        became = self._blobs.convert(entry.object for entry in chosen)
        for entry in chosen:
            path = prefix + os.fsdecode(entry.name)
            if not self._explicit:
                self._patterns[_line_for(path, by_name=bool(self._choice.above))] = None
            if became[entry.object] != entry.object:
                self._tell(path, entry.object)
        return {entry.name: became[entry.object] for entry in chosen}

    def _chosen(self, entry: Entry, prefix: str, scope: Scope | None) -> bool:
        name = os.fsdecode(entry.name)
        path = prefix + name
        if name in GITS_OWN_FILES or not self._choice.paths.allows(path):
            return False
        return scope is None or scope.gives_to_lfs(path)

    def _tell(self, path: str, blob: str) -> None:
        if (path, blob) not in self._told:
            self._told.add((path, blob))
            self._listener.converted(self._commit, path)


def _lines_for(choice: Choice) -> list[str]:
    """The .gitattributes lines of the patterns on the command line."""
    included = [f"{_escape(pattern)} {_LFS}" for pattern in choice.include]
    return included + [f"{_escape(pattern)} {_NOT_LFS}" for pattern in choice.exclude]


def _line_for(path: str, *, by_name: bool) -> str:
    """The line that tracks a converted file: by its extension, else (or `by_name`) by its path."""
    name = path.rpartition("/")[2]
    dot = name.rfind(".")
    if dot >= 0 and not by_name:
        return f"*{_escape(_literal(name[dot:]))} {_LFS}"
    return f"{_escape(literal_pattern(path))} {_LFS}"


def _escape(pattern: str) -> str:
    """A pattern as one word of a .gitattributes line, in git's quotes where white space other than blanks asks for it."""
    word = pattern.replace(" ", "[[:space:]]").replace("#", "\\#")
    if word.startswith('"') or not _WHITE_SPACE.isdisjoint(word):
        for char, name in (("\\", "\\"), ('"', '"'), ("\n", "n"), ("\t", "t"), ("\r", "r"), ("\v", "v"), ("\f", "f")):
            word = word.replace(char, "\\" + name)
        return f'"{word}"'
    return word


def literal_pattern(path: str) -> str:
    """A pattern that matches exactly the file `path`."""
    return "/" + _literal(path)


def _literal(text: str) -> str:
    return "".join("\\" + char if char in "\\*[]?" else char for char in text)


def _plan_moves(git: Git, commits: dict[str, str], reader: ObjectReader, new: NewObjects) -> list[Move]:
    """Local refs that point into the rewritten commits, annotated tags made anew around them. A detached HEAD is one."""
    became = dict(commits)

    def resolve(target: str, kind: str) -> str | None:
        if target not in became and kind == "tag":
            data = reader.read(target)
            inner = tag_target(data)
            now = resolve(inner, "tag" if b"\ntype tag\n" in data[:200] else "commit")
            if now is None:
                return None
            became[target] = target if now == inner else new.add("tag", encode_tag(data, now))
        return became.get(target)

    refs = [ref for ref in all_refs(git) if not ref.name.startswith("refs/remotes/")]
    if not git.ok("symbolic-ref", "--quiet", "HEAD"):
        refs.append(Ref("HEAD", git.text("rev-parse", "--verify", "HEAD"), "commit"))
    moves = []
    for ref in refs:
        target = resolve(ref.target, ref.kind)
        if target is not None:
            moves.append(Move(ref, target))
    return moves


def _move(workspace: Workspace, moves: list[Move]) -> None:
    """All refs or none; a ref that somebody moved meanwhile stops it."""
    lines = []
    for move in moves:
        if move.ref.name == "HEAD":
            lines.append("option no-deref\0")
        lines.append(f"update {move.ref.name}\0{move.target}\0{move.ref.target}\0")
    if lines:
        stdin = os.fsencode("".join(lines))
        workspace.git.output("update-ref", "-m", "git lfs migrate import", "--stdin", "-z", stdin=stdin)
