"""What a push brings: each path that a new commit changes, and each blob that the repository did not have.

`git rev-list NEW --not --all | git diff-tree --stdin -c` names every new blob that a commit reaches, with path and commit: a
blob in a new commit's tree is in the diff against each parent, or in a parent's tree at the same path, and so on down to an
accepted commit, whose blobs are not new. Merges show the paths that differ from all parents. Ids that the walk has seen are
remembered in 32 bytes or fewer each; all else streams.
"""

from __future__ import annotations

import os

from hundredweight.base.errors import LocalError
from hundredweight.formats.names import is_weight_file
from hundredweight.protocol.pointer import CUTOFF, try_parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from subprocess import Popen

    from hundredweight.git.run import Git
    from hundredweight.hub.receive.push import Push
    from hundredweight.protocol.pointer import Pointer

# So many ids fit into a pipe (64 KiB with SHA-256 ids), so that writing them never waits for our reading.
BATCH = 500
_READ = 1 << 18
_REGULAR = ("100644", "100755", "100664")


class WalkFailed(LocalError):
    """git could not list what was pushed; the push is refused."""


class Change:
    """A path as one new commit leaves it. A deletion has the mode `000000` and a null blob."""

    __slots__ = ("blob", "commit", "mode", "path")

    def __init__(self, commit: str, path: str, mode: str, blob: str) -> None:
        self.commit = commit
        self.path = path
        self.mode = mode
        self.blob = blob

    @property
    def is_file(self) -> bool:
        """A regular file: no symbolic link, no submodule, no deletion."""
        return self.mode in _REGULAR


class NewBlob:
    """A blob at the first place where the walk met it. `pointer` is None for content."""

    __slots__ = ("change", "pointer", "size")

    def __init__(self, change: Change, size: int, pointer: Pointer | None) -> None:
        self.change = change
        self.size = size
        self.pointer = pointer


def changes(push: Push, paths: Iterable[str] = ()) -> Iterator[Change]:
    """Every path that a new commit changes, newest commits first; restricted to `paths` where given. Raises `WalkFailed`."""
    import subprocess  # noqa: PLC0415 - pushes that only delete refs never need it

    commits = _commits(push)
    if not commits:
        return
    literal = push.git.with_env(GIT_LITERAL_PATHSPECS="1")
    lister = literal.popen("rev-list", "--stdin", "--not", "--all", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    differ = literal.popen(
        *("diff-tree", "--stdin", "-r", "-z", "--root", "-c", "--raw", "--no-renames", "--", *paths),
        stdin=lister.stdout,
        stdout=subprocess.PIPE,
    )
    with lister, differ:
        assert lister.stdin is not None
        assert lister.stdout is not None
        assert differ.stdout is not None
        lister.stdout.close()
        lister.stdin.write("\n".join([*commits, ""]).encode())
        lister.stdin.close()
        yield from _parse_changes(_fields(differ))
    if lister.returncode or differ.returncode:
        raise WalkFailed("the pushed commits cannot be read", hint="run 'git fsck' in your clone, then push again")


def new_blobs(push: Push) -> Iterator[list[NewBlob]]:
    """The blobs that come with the push, in lists of up to `BATCH`: each once, or twice where only one of its paths is a
    weight file's. Some may have been in the repository before, at another path: ask `accepted` before refusing one."""
    seen: set[bytes] = set()
    batch: list[Change] = []
    with _Blobs(push.git) as blobs:
        for change in _with_loose_ends(push):
            if not change.is_file:
                continue
            key = bytes.fromhex(change.blob) + (b"w" if is_weight_file(change.path) else b"")
            if key in seen:
                continue
            seen.add(key)
            batch.append(change)
            if len(batch) == BATCH:
                yield blobs.read(batch)
                batch = []
        if batch:
            yield blobs.read(batch)


def accepted(push: Push, blobs: Iterable[str]) -> set[str]:
    """Those of the blobs that the repository had before this push."""
    listed = list(blobs)
    if not listed:
        return set()
    out = push.accepted_git.output("cat-file", "--batch-check", stdin="\n".join([*listed, ""]).encode()).decode()
    return {line.split(" ", 1)[0] for line in out.splitlines() if not line.endswith(" missing")}


def _commits(push: Push) -> list[str]:
    return [name for name, kind in _peeled(push) if kind == "commit"]


def _peeled(push: Push) -> list[tuple[str, str]]:
    """What the new refs finally point to, as (id, type): tags are followed."""
    if not push.tips:
        return []
    wanted = "".join(f"{tip}^{{}}\n" for tip in push.tips)
    out = push.git.output("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=wanted.encode()).decode()
    pairs = (line.partition(" ") for line in out.splitlines())
    return [(name, kind) for name, _, kind in pairs]


def _with_loose_ends(push: Push) -> Iterator[Change]:
    """`changes`, and what refs reach without a commit: tags of trees and of blobs."""
    yield from changes(push)
    for name, kind in _peeled(push):
        if kind == "tree":
            for entry in push.git.fields("ls-tree", "-r", "-z", name):
                meta, _, path = entry.partition("\t")
                mode, _, rest = meta.partition(" ")
                yield Change("", path, mode, rest.partition(" ")[2])
        elif kind == "blob":
            yield Change("", name, _REGULAR[0], name)


def _fields(process: Popen[bytes]) -> Iterator[str]:
    """NUL-separated output as it comes."""
    assert process.stdout is not None
    rest = b""
    while chunk := os.read(process.stdout.fileno(), _READ):
        *whole, rest = (rest + chunk).split(b"\0")
        for field in whole:
            yield os.fsdecode(field)


def _parse_changes(fields: Iterator[str]) -> Iterator[Change]:
    """diff-tree's raw output: a commit id, then pairs of `:MODE MODE ID ID STATUS` and path, with one colon, mode and id
    more for each further parent of a merge. The last mode and id are the commit's own."""
    commit = ""
    for field in fields:
        if not field.startswith(":"):
            commit = field
            continue
        words = field.lstrip(":").split(" ")
        parents = len(field) - len(field.lstrip(":"))
        yield Change(commit, next(fields), words[parents], words[2 * parents + 1])


class _Blobs:
    """Sizes of blobs, and the pointers among them: two long-running `git cat-file`."""

    def __init__(self, git: Git) -> None:
        self.git = git
        self._running: list[Popen[bytes]] = []

    def __enter__(self) -> _Blobs:
        return self

    def __exit__(self, *_exc: object) -> None:
        for process in self._running:
            assert process.stdin is not None
            process.stdin.close()
            process.__exit__(None, None, None)

    def read(self, batch: list[Change]) -> list[NewBlob]:
        if not self._running:
            self._start()
        sizes = list(self._sizes([change.blob for change in batch]))
        small = [change.blob for change, size in zip(batch, sizes, strict=True) if 0 < size < CUTOFF]
        contents = dict(zip(small, self._contents(small), strict=True))
        found = []
        for change, size in zip(batch, sizes, strict=True):
            data = contents.get(change.blob)
            found.append(NewBlob(change, size, try_parse(data) if data else None))
        return found

    def _start(self) -> None:
        import subprocess  # noqa: PLC0415 - see changes()

        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._running.append(self.git.popen("cat-file", "--batch-check=%(objectsize)", **pipes))
        self._running.append(self.git.popen("cat-file", "--batch=%(objectsize)", **pipes))

    def _sizes(self, ids: list[str]) -> Iterator[int]:
        _ask(self._running[0], ids)
        for _ in ids:
            yield _number(self._running[0])

    def _contents(self, ids: list[str]) -> Iterator[bytes]:
        _ask(self._running[1], ids)
        stdout = self._running[1].stdout
        assert stdout is not None
        for _ in ids:
            size = _number(self._running[1])
            yield stdout.read(size + 1)[:size]


def _ask(process: Popen[bytes], ids: list[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("".join(f"{name}\n" for name in ids).encode())
    process.stdin.flush()


def _number(process: Popen[bytes]) -> int:
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        return int(line)
    except ValueError:
        raise WalkFailed(f"git cat-file answered {line[:80]!r}") from None
