"""From pointer to content: what the work tree gets for what git has.

A pointer stands for its object; with `skip`, or where the fetch filters refuse the path, for itself. What is no pointer
passes through, and is reported, since it should have been one. Stored objects are hashed while they are sent: disks and
people damage files, and a wrong weight looks like a right one.
"""

from __future__ import annotations

import os

from hundredweight.base.errors import CwtError, RemoteError
from hundredweight.client.filter_stream import PIPE, send_whole, widen, write_all
from hundredweight.git.config import parse_bool
from hundredweight.git.patterns import PathFilter, split_list
from hundredweight.protocol.pointer import CUTOFF, Pointer, try_parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.base.ids import Oid
    from hundredweight.client.downloads import Downloads
    from hundredweight.client.workspace import Workspace


class Resolution:
    """What to send: `content` as it is, or the stored object of `pointer` (`content` is None), which may be `missing`.
    `malformed` says that it should have been a pointer."""

    __slots__ = ("content", "malformed", "missing", "pointer")

    def __init__(
        self, content: bytes | None, pointer: Pointer | None, *, missing: bool = False, malformed: bool = False
    ) -> None:
        self.content = content
        self.pointer = pointer
        self.missing = missing
        self.malformed = malformed


class Smudger:
    """Decides for one blob after another. Cheap until the first real pointer: configuration is read then."""

    def __init__(self, workspace: Workspace, *, skip: bool = False) -> None:
        self._workspace = workspace
        self.skip = skip or parse_bool(workspace.variables.get("GIT_LFS_SKIP_SMUDGE", ""), False)
        self._filter: PathFilter | None = None

    def resolve(self, data: bytes, path: str) -> Resolution:
        """`data` is the whole blob, or more than `CUTOFF` bytes of its beginning."""
        pointer = try_parse(data) if len(data) < CUTOFF else None
        if pointer is None:
            return Resolution(data, None, malformed=True)
        if pointer.size == 0:
            return Resolution(b"", pointer)
        if self.skip or not self._allows(path):
            return Resolution(pointer.encode(), pointer)
        return Resolution(None, pointer, missing=not self._workspace.store.has(pointer.oid, pointer.size))

    @property
    def skips_errors(self) -> bool:
        """Whether an object that cannot be had leaves its pointer instead of an error."""
        variable = self._workspace.variables.get("GIT_LFS_SKIP_DOWNLOAD_ERRORS", "")
        return parse_bool(variable, False) or self._workspace.config.bool("lfs.skipdownloaderrors")

    def _allows(self, path: str) -> bool:
        if self._filter is None:
            config = self._workspace.config
            include = split_list(config.get("lfs.fetchinclude"))
            self._filter = PathFilter(include, split_list(config.get("lfs.fetchexclude")))
        return self._filter.allows(path)


def smudge_stream(
    workspace: Workspace, smudger: Smudger, path: str, source: int, sink: int, say: Callable[[str], None]
) -> bool:
    """Smudge one file from descriptor to descriptor, as the one-shot filter does. True when what came was no pointer.
    An object that cannot be fetched leaves its pointer, also when `DownloadFailed` is raised."""
    data = _read_upto(source, CUTOFF)
    resolution = smudger.resolve(data, path)
    pointer, content = resolution.pointer, resolution.content
    if resolution.missing and pointer is not None:
        from hundredweight.client.downloads import Downloads  # noqa: PLC0415 - network code, for missing objects only

        try:
            content = fetch_now(Downloads(workspace), smudger, path or "<unknown file>", pointer, say)
        except DownloadFailed:
            write_all(sink, pointer.encode())
            raise
    if content is not None:
        write_all(sink, content)
    if resolution.malformed:
        while more := os.read(source, PIPE):
            write_all(sink, more)
    elif content is None and pointer is not None:
        _write_object(workspace, pointer, path, sink)
    return resolution.malformed


def _read_upto(source: int, limit: int) -> bytes:
    data = b""
    while len(data) < limit and (more := os.read(source, limit - len(data))):
        data += more
    return data


def _write_object(workspace: Workspace, pointer: Pointer, path: str, sink: int) -> None:
    widen(sink)
    send_object(workspace, pointer, path, lambda descriptor: send_whole(descriptor, sink))


def send_object(workspace: Workspace, pointer: Pointer, path: str, send: Callable[[int], tuple[int, str]]) -> None:
    """Hand the content that `pointer` stands for to `send`, as an open file; it gives how many bytes it sent, and their hash, or
    nothing for it where that is known. Raises `ObjectDamaged`, after sending, and what extensions raise, before."""
    if pointer.extensions:
        from hundredweight.client.extension_pipe import smudge_through  # noqa: PLC0415 - subprocess, for extensions only

        with smudge_through(workspace, pointer, path) as content:
            send(content.descriptor)
        return
    descriptor = workspace.store.open_content(pointer.oid)
    try:
        sent, digest = send(descriptor)
        if sent != pointer.size or (digest and digest != pointer.oid):
            from hundredweight.client.damage import ObjectDamaged, set_aside  # noqa: PLC0415 - for damaged objects only

            raise ObjectDamaged(path, pointer.oid, set_aside(workspace.store, pointer.oid, descriptor))
    finally:
        os.close(descriptor)


_WAYS = (
    " (after 'git clone': 'git reset --hard' in the clone), "
    "or now with GIT_LFS_SKIP_SMUDGE=1, and run 'git lfs pull' later"
)


class DownloadFailed(CwtError):
    """An object that a file needs could not be fetched. `path` and `oid` tell which, `cause` why."""

    exit_code = 2
    hint = "repeat the command when the server can be reached" + _WAYS

    def __init__(self, path: str, oid: Oid, cause: CwtError) -> None:
        # What no waiting mends, the cause says itself how to.
        lasting = cause.hint and not (isinstance(cause, RemoteError) and cause.temporary)
        super().__init__(
            f"Error downloading object: {path} ({oid[:7]}): Smudge error: Error downloading {path} ({oid}): {cause}",
            hint=f"{cause.hint}; then repeat the command{_WAYS}" if lasting else "",
        )
        self.path = path
        self.oid = oid
        self.cause = cause


def fetch_now(
    downloads: Downloads, smudger: Smudger, path: str, pointer: Pointer, say: Callable[[str], None]
) -> bytes | None:
    """Download one object while git waits; None when it is here then. When that fails, now or before in the background,
    raises `DownloadFailed`, or, where errors are to be skipped, gives the pointer's own bytes."""
    if not downloads.failed(pointer.oid):
        from hundredweight.base.sizes import format_size  # noqa: PLC0415 - for missing objects only

        say(f"Downloading {path} ({format_size(pointer.size)})")
    failure = downloads.fetch(path, pointer)
    if failure is None:
        return None
    failed = DownloadFailed(path, pointer.oid, failure)
    if not smudger.skips_errors:
        raise failed
    say(str(failed))
    return pointer.encode()
