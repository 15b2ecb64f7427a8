"""Finding LFS pointers: in a tree, in a range of history, in the index, in stashes, in what changed.

Everything streams: git lists blobs shorter than a pointer's limit, one `cat-file --batch` reads them, and the generators give
a `PointerFile` as soon as it is known. No process per blob or commit. A generator ends its processes when it is exhausted
or closed; it raises `ScanError` when git fails (an unknown ref, a damaged repository), never skipping silently.
An empty blob is the pointer of the empty object, as in git-lfs.

`git` is git at the top of the work tree (`Workspace.git`); paths are relative to it. Revisions are any names git takes, fed
by standard input, so their number has no limit.
"""

from __future__ import annotations

import os

from hundredweight.base.errors import CwtError
from hundredweight.base.trace import trace
from hundredweight.git.objects import ObjectReader
from hundredweight.git.refs import REMOTES
from hundredweight.protocol.pointer import CUTOFF, try_parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeVar

    from hundredweight.git.config import Config
    from hundredweight.git.patterns import PathFilter
    from hundredweight.git.run import Git
    from hundredweight.protocol.pointer import Pointer

    Answer = TypeVar("Answer")

EMPTY_TREES = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
"""The tree without entries, by object format: it stands for HEAD before the first commit. Git knows it without storing it."""
_FORGET_AFTER = 4096


class ScanError(CwtError):
    """git could not list what was asked for; `stderr` is what it said."""

    def __init__(self, command: str, stderr: str) -> None:
        first = stderr.splitlines()[0].removeprefix("fatal: ") if stderr else "it ended without a word"
        super().__init__(f"git {command} failed: {first}")
        self.command = command
        self.stderr = stderr


class PointerFile:
    """A pointer and where it was seen: `path`, and the git object name of the `blob` that holds it."""

    __slots__ = ("blob", "path", "pointer")

    def __init__(self, path: str, pointer: Pointer, blob: str) -> None:
        self.path = path
        self.pointer = pointer
        self.blob = blob

    def __repr__(self) -> str:
        return f"PointerFile({self.path!r}, {self.pointer.oid.short})"


class BlobEntry:
    """A file of a tree or of the index: octal `mode` as text, `blob` name, `size` (-1 unknown), `path`, index `stage`."""

    __slots__ = ("blob", "mode", "path", "size", "stage")

    def __init__(self, mode: str, blob: str, size: int, path: str, stage: int = 0) -> None:
        self.mode = mode
        self.blob = blob
        self.size = size
        self.path = path
        self.stage = stage

    @property
    def is_regular(self) -> bool:
        return self.mode.startswith("100")


class Change:
    """One line of a raw diff: `status` letter (A, M, D, R, C, T, U), both modes and blobs (all zeros: none, or only in the
    work tree), `source` and `path` (equal but for renames and copies)."""

    __slots__ = ("new_blob", "new_mode", "old_blob", "old_mode", "path", "source", "status")

    def __init__(self, status: str, old: tuple[str, str], new: tuple[str, str], source: str, path: str) -> None:
        self.status = status
        self.old_mode, self.old_blob = old
        self.new_mode, self.new_blob = new
        self.source = source
        self.path = path


class FileVersion:
    """A file as a commit has it that did not have it so before: its `blob`, `path`, that `commit` and its time in `seconds`."""

    __slots__ = ("blob", "commit", "path", "seconds")

    def __init__(self, blob: str, path: str, commit: str, seconds: int) -> None:
        self.blob = blob
        self.path = path
        self.commit = commit
        self.seconds = seconds


def tree_entries(git: Git, treeish: str, paths: Iterable[str] = ()) -> Iterator[BlobEntry]:
    """Every blob below a tree, with sizes; submodules are passed over. `paths`: only these files, and all in these folders."""
    for record in _records(git, ("ls-tree", "-r", "-l", "-z", "--full-tree", treeish, "--", *paths)):
        facts, _, path = record.partition("\t")
        mode, kind, blob, size = facts.split()
        if kind == "blob":
            yield BlobEntry(mode, blob, int(size) if size.isdigit() else -1, path)


def index_entries(git: Git, *pathspecs: str, unmerged: bool = False) -> Iterator[BlobEntry]:
    """Every file of the index (below the pathspecs), conflict stages included (`unmerged`: only those), sizes unknown;
    submodules are passed over."""
    which = "--unmerged" if unmerged else "--stage"
    for record in _records(git, ("ls-files", which, "-z", "--full-name", "--", *(pathspecs or (":/",)))):
        facts, _, path = record.partition("\t")
        mode, blob, stage = facts.split()
        if mode != "160000":
            yield BlobEntry(mode, blob, -1, path, int(stage))


def diff_index(git: Git, treeish: str, *, cached: bool, renames: bool = False) -> Iterator[Change]:
    """What differs from `treeish` in the index (`cached`), or in the index and the work tree. Refresh the index first."""
    options = ("-M",) if renames else ("--no-renames",)
    yield from _changes(git, ("diff-index", "-z", *options, *(("--cached",) if cached else ()), treeish, "--"))


def diff_changes(git: Git, *arguments: str) -> Iterator[Change]:
    """What `git diff ARGUMENTS` covers, with renames as the user has them configured; without combined diffs of merges.
    `git` is git where the user is: pathspecs are relative to that, paths in the result to the top."""
    yield from _changes(git, ("diff", "--raw", "-z", "--no-abbrev", "--no-relative", "--no-color", *arguments))


def read_pointers(git: Git, blobs: Iterable[tuple[str, str]]) -> Iterator[PointerFile]:
    """Of (blob, path) pairs those that are pointers, in order. Blobs are read whole: pass only small ones."""
    with ObjectReader(git) as reader:
        for blob, path, answer in _asked(reader.contents, blobs):
            pointer = try_parse(answer[1]) if answer is not None and answer[0].kind == "blob" else None
            if pointer is not None:
                yield PointerFile(path, pointer, blob)


def small_blobs(git: Git, blobs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Of (blob, path) pairs those short enough to be pointers, in order; each blob once, at its first path."""
    with ObjectReader(git) as reader:
        for blob, path, answer in _asked(reader.infos, _first_paths(blobs)):
            if answer is not None and answer.kind == "blob" and answer.size < CUTOFF:
                yield blob, path


def blobs_here(git: Git, config: Config, blobs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Of (blob, path) pairs those whose blob is here, in order. Only a partial clone lacks any; git fetches what is merely looked
    at there, one by one, be it a pointer or weights that missed LFS."""
    promisors = config.subsections("remote", "promisor")
    if not config.has("extensions.partialclone") and not any(
        config.bool(f"remote.{name}.promisor") for name in promisors
    ):
        yield from blobs
        return
    pairs = list(blobs)
    wanted = {blob for blob, _ in pairs}
    listing = ("cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname)")
    here = wanted.intersection(_records(git, listing, separator=b"\n"))
    yield from (pair for pair in pairs if pair[0] in here)


def _first_paths(blobs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for blob, path in blobs:
        if blob not in seen:
            seen.add(blob)
            yield blob, path


def _asked(
    ask: Callable[[Iterable[str]], Iterator[Answer]], pairs: Iterable[tuple[str, str]]
) -> Iterator[tuple[str, str, Answer]]:
    """Each pair with the answer about its blob; `ask` reads ahead of what it answers."""
    waiting: list[tuple[str, str]] = []

    def names() -> Iterator[str]:
        for pair in pairs:
            waiting.append(pair)
            yield pair[0]

    done = 0
    for answer in ask(names()):
        blob, path = waiting[done]
        done += 1
        if done > _FORGET_AFTER:
            del waiting[:done]
            done = 0
        yield blob, path, answer


def scan_tree(git: Git, treeish: str, paths: PathFilter | None = None) -> Iterator[PointerFile]:
    """Every pointer file of a tree, in order of path; two files with the same content are two results."""
    entries = tree_entries(git, treeish)
    yield from read_pointers(
        git, ((e.blob, e.path) for e in entries if e.size < CUTOFF and (paths is None or paths.allows(e.path)))
    )


def scan_trees(git: Git, commits: Iterable[str], paths: PathFilter | None = None) -> Iterator[PointerFile]:
    """Every pointer of the commits' trees, each blob once, at a path that `paths` allows: for what is kept, not for what is
    shown. Far quicker than a `scan_tree` of each where they have much in common."""
    if paths is None or paths.allows_everything:
        small = range_blobs(git, commits, options=(f"--filter=blob:limit={CUTOFF}",), walk=False)
        yield from read_pointers(git, small)
        return
    entries = (entry for commit in commits for entry in tree_entries(git, commit))
    allowed = ((e.blob, e.path) for e in entries if e.size < CUTOFF and paths.allows(e.path))
    yield from read_pointers(git, _first_paths(allowed))


def scan_index(git: Git, paths: PathFilter | None = None, *, tracked_only: bool = False) -> Iterator[PointerFile]:
    """Every pointer file of the index. With `tracked_only` just files with the attribute filter=lfs, which spares reading
    all other small files."""
    pathspec = (":(top,attr:filter=lfs)",) if tracked_only else ()
    entries = [e for e in index_entries(git, *pathspec) if paths is None or paths.allows(e.path)]
    small = dict(small_blobs(git, ((e.blob, e.path) for e in entries)))
    yield from read_pointers(git, ((e.blob, e.path) for e in entries if e.blob in small))


def scan_range(
    git: Git,
    include: Iterable[str],
    exclude: Iterable[str] = (),
    *,
    options: tuple[str, ...] = (),
    paths: PathFilter | None = None,
) -> Iterator[PointerFile]:
    """Every pointer in commits reachable from `include` and not from `exclude`; each blob once, at one of its paths, newest
    commits first. Null and empty names are passed over; with nothing to include (and no `options`) nothing is found.

    `options` are further arguments of `git rev-list`: --all, --ignore-missing, --not --remotes=X.
    """
    small = range_blobs(git, include, exclude, options=(*options, f"--filter=blob:limit={CUTOFF}"))
    yield from _filtered(read_pointers(git, small), paths)


def range_blobs(
    git: Git, include: Iterable[str], exclude: Iterable[str] = (), *, options: tuple[str, ...] = (), walk: bool = True
) -> Iterator[tuple[str, str]]:
    """(blob, path) of every blob of that range, whatever its size; otherwise as `scan_range`. A path with a line end in it
    is cut there by git. Without `walk` just the trees of the commits `include`, not their ancestors'."""
    lines = [name for name in include if name.strip("0")]
    if not lines and not options:
        return
    lines += ["^" + name for name in exclude if name.strip("0")]
    order = ("--in-commit-order", "--do-walk") if walk else ("--no-walk",)
    command = ("rev-list", "--objects", *order, "--filter=object:type=blob", *options, "--stdin", "--")
    stdin = "".join(f"{line}\n" for line in lines)
    trace(f"run_command: git {' '.join(command)}")
    for line in _records(git, command, os.fsencode(stdin), separator=b"\n"):
        # Commits that were named outright are listed all the same, without a path.
        blob, _, path = line.partition(" ")
        if path:
            yield blob, path


def scan_all(git: Git, paths: PathFilter | None = None) -> Iterator[PointerFile]:
    """Every pointer of all history: all refs, HEAD, and the work trees' HEADs."""
    yield from scan_range(git, (), options=("--all", "--ignore-missing"), paths=paths)


def scan_unpushed(git: Git, remote: str = "", paths: PathFilter | None = None) -> Iterator[PointerFile]:
    """Every pointer in commits that branches, tags, detached HEADs or refs of other kinds name, and that no known branch of
    `remote` (empty: of any) contains. Remote-tracking branches and the stash do not count (see `scan_stashed`)."""
    known = f"--remotes={remote}" if remote else "--remotes"
    options = ("--ignore-missing", f"--exclude={REMOTES}*", "--exclude=refs/stash", "--all", "--not", known)
    yield from scan_range(git, (), options=options, paths=paths)


def scan_stashed(git: Git, stashes: Iterable[str], paths: PathFilter | None = None) -> Iterator[PointerFile]:
    """Every pointer that a stash changes: its work-tree, index and untracked commits against what they were based on."""
    names = "".join(f"{name}\n" for name in stashes)
    if not names:
        return
    pairs = []
    parents = git.output("rev-list", "--no-walk", "--parents", "--stdin", stdin=names.encode())
    for line in os.fsdecode(parents).splitlines():
        stash, base, *kept = line.split()
        # The stash's second parent is its index, a third one its untracked files (a root commit).
        pairs += [f"{stash} {base}", *kept]
    stdin = "".join(f"{pair}\n" for pair in pairs).encode()
    added = ((c.new_blob, c.path) for c in _commit_changes(git, stdin, paths) if _is_file(c.new_mode))
    yield from read_pointers(git, small_blobs(git, added))


def scan_previous(git: Git, ref: str, since: float, paths: PathFilter | None = None) -> Iterator[PointerFile]:
    """Every pointer that commits at or after `since` (seconds), reachable from `ref`, replaced or deleted."""
    commits = git.output("rev-list", f"--since=@{int(since)}", ref, "--")
    removed = ((c.old_blob, c.path) for c in _commit_changes(git, commits, paths) if _is_file(c.old_mode))
    yield from read_pointers(git, small_blobs(git, removed))


def scan_versions(git: Git, *pathspecs: str) -> Iterator[FileVersion]:
    """Every version of every file (below the pathspecs) in the history of all refs, HEAD and the work trees' HEADs: no commit
    before its parents. What a merge has of its parents comes once more. Pathspecs are relative to git's folder."""
    order = ("--topo-order", "--reverse", "--timestamp")
    listed = _records(git, ("rev-list", "--all", "--ignore-missing", *order), separator=b"\n")
    commits = {commit: int(seconds) for seconds, _, commit in (line.partition(" ") for line in listed if line)}
    if not commits:
        return
    command = ("diff-tree", "--stdin", "-r", "-z", "--root", "-m", "--no-renames", "--diff-filter=d", "--", *pathspecs)
    records = _records(git, command, "".join(f"{commit}\n" for commit in commits).encode())
    commit = ""
    for record in records:
        if not record.startswith(":"):
            commit = record or commit
            continue
        _, mode, _, blob, _ = record[1:].split(" ")
        path = next(records)
        if _is_file(mode):
            yield FileVersion(blob, path, commit, commits[commit])


def _filtered(found: Iterator[PointerFile], paths: PathFilter | None) -> Iterator[PointerFile]:
    return found if paths is None else (file for file in found if paths.allows(file.path))


def _is_file(mode: str) -> bool:
    return mode.startswith("100")


def _commit_changes(git: Git, commits: bytes, paths: PathFilter | None) -> Iterator[Change]:
    """What each commit changed against its parent, or against the commit that follows it on its line; merges are passed
    over, being made of what other commits changed. Plumbing, since settings of `git log` must not alter what is kept."""
    if commits:
        command = ("diff-tree", "--stdin", "-r", "-z", "--root", "--no-renames", "--no-commit-id")
        yield from (c for c in _changes(git, command, commits) if paths is None or paths.allows(c.path))


def _changes(git: Git, command: tuple[str, ...], stdin: bytes = b"") -> Iterator[Change]:
    """Raw diff records (`-z`), of any number of commits."""
    records = _records(git, command, stdin)
    for record in records:
        if not record.startswith(":") or record.startswith("::"):
            continue
        old_mode, new_mode, old_blob, new_blob, status = record[1:].split(" ")
        source = next(records)
        path = next(records) if status[0] in "RC" else source
        yield Change(status[0], (old_mode, old_blob), (new_mode, new_blob), source, path)


def _records(git: Git, command: tuple[str, ...], stdin: bytes = b"", *, separator: bytes = b"\0") -> Iterator[str]:
    """The output of a git command, split, as it comes. Raises `ScanError` at the end when git failed."""
    # In plain C, since its words are looked at below.
    with git.with_env(LC_ALL="C").start(*command) as process:
        yield from _split(process.chunks(stdin), separator)
        code = process.wait()
    said = process.said.decode("utf-8", "replace").strip()
    ambiguous = said.partition("warning: refname '")[2].partition("' is ambiguous")
    if ambiguous[1]:
        # git takes one of the two; with what is pushed or deleted at stake, nobody should guess.
        raise ScanError(command[0], f'ref "{ambiguous[0]}" is ambiguous')
    if code:
        raise ScanError(command[0], said)


def _split(chunks: Iterable[bytes], separator: bytes) -> Iterator[str]:
    mark = separator.decode()
    rest = b""
    for data in chunks:
        whole, found, tail = data.rpartition(separator)
        if found:
            yield from os.fsdecode(rest + whole).split(mark)
            rest = b""
        rest += tail
    if rest:
        yield os.fsdecode(rest)
