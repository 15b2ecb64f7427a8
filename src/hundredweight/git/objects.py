"""Git's objects through long-running `git cat-file` processes: two at most, whatever the number of objects."""

from __future__ import annotations

import os

from hundredweight.base.errors import CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hundredweight.git.process import Running
    from hundredweight.git.run import Git

# Requests in flight must fit a pipe that nobody reads (16 KiB on macOS), since git may be busy answering; two chunks
# are in flight, so that git works on one while the answers to the other are handled.
_CHUNK_BYTES = 8 << 10
_COPY_CHUNK = 1 << 20


class MissingObject(CwtError):
    """`name` names no object here."""

    def __init__(self, name: str) -> None:
        super().__init__(f"git object '{name}' is missing", hint="run 'git fsck' to see what the repository lacks")
        self.name = name


class CatFileDied(CwtError):
    """`git cat-file` ended in the middle of an answer."""

    def __init__(self) -> None:
        super().__init__("git cat-file ended early", hint="run 'git fsck' to see what is wrong with the repository")


class ObjectInfo:
    """`name` is the full object name, `kind` one of blob, tree, commit, tag, `size` in bytes."""

    __slots__ = ("kind", "name", "size")

    def __init__(self, name: str, kind: str, size: int) -> None:
        self.name = name
        self.kind = kind
        self.size = size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectInfo) and (self.name, self.kind, self.size) == (
            other.name,
            other.kind,
            other.size,
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"ObjectInfo({self.name} {self.kind} {self.size})"


class ObjectReader:
    """Looks up and reads objects by any name git understands (id, ref, `HEAD:path`). Use as a context, or `close`.

    A process is started when first needed and kept. One thread at a time; an iterator that a bulk method returned must be
    exhausted or closed before the next call of the same kind (`infos`/`info`, `contents`/`read`/`copy`).
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self._check: Running | None = None
        self._batch: Running | None = None

    def info(self, name: str) -> ObjectInfo | None:
        """Kind and size without content; None when there is no such object or the name is ambiguous."""
        process = self._checker()
        _send(process, self._encode(name))
        return _parse(process.stream.readline())

    def infos(self, names: Iterable[str]) -> Iterator[ObjectInfo | None]:
        """`info` of many, pipelined, in order."""
        for answer, _ in self._pipeline(self._checker, names, False):
            yield answer

    def read(self, name: str) -> bytes:
        """The whole content, in memory: for small things. Raises `MissingObject`."""
        for answer, content in self._pipeline(self._reader, (name,), True):
            if answer is not None:
                return content
        raise MissingObject(name)

    def contents(self, names: Iterable[str]) -> Iterator[tuple[ObjectInfo, bytes] | None]:
        """Kind and content of many small objects, pipelined, in order; None for a missing one."""
        for answer, content in self._pipeline(self._reader, names, True):
            yield None if answer is None else (answer, content)

    def copy(self, name: str, write: Callable[[bytes], object]) -> ObjectInfo:
        """Hand the content to `write` in pieces, whatever its size. Raises `MissingObject`."""
        answer, pieces = self._open(name)
        for piece in pieces:
            write(piece)
        return answer

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content in pieces, whatever its size; nothing else may be asked before the end. Raises `MissingObject`."""
        yield from self._open(name)[1]

    def close(self) -> None:
        """End the processes. Harmless a second time; the reader starts new ones when used again."""
        for process in (self._check, self._batch):
            if process is not None:
                process.close()
        self._check = self._batch = None

    def __enter__(self) -> ObjectReader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _open(self, name: str) -> tuple[ObjectInfo, Iterator[bytes]]:
        process = self._reader()
        _send(process, self._encode(name))
        answer = _parse(process.stream.readline())
        if answer is None:
            raise MissingObject(name)
        return answer, self._content(process, answer.size)

    def _content(self, process: Running, left: int) -> Iterator[bytes]:
        out = process.stream
        try:
            while left:
                piece = out.read(min(left, _COPY_CHUNK))
                if not piece:
                    raise CatFileDied
                left -= len(piece)
                yield piece
            out.read(1)
        finally:
            if left:
                # Abandoned in the middle: what is still in the pipe belongs to nobody.
                self.close()

    def _checker(self) -> Running:
        if self._check is None:
            self._check = self._start("--batch-check")
        return self._check

    def _reader(self) -> Running:
        if self._batch is None:
            self._batch = self._start("--batch")
        return self._batch

    def _start(self, mode: str) -> Running:
        return self._git.start("cat-file", mode, errors=False)

    def _encode(self, name: str) -> bytes:
        if "\n" in name:
            # cat-file reads lines; rev-parse takes any name.
            found = self._git.run("rev-parse", "--verify", "--quiet", name)
            return found.out or b"invalid\n"
        return os.fsencode(name) + b"\n"

    def _pipeline(
        self, start: Callable[[], Running], names: Iterable[str], whole: bool
    ) -> Iterator[tuple[ObjectInfo | None, bytes]]:
        chunks = self._chunks(names)
        ahead = next(chunks, None)
        if ahead is None:
            return
        process = start()
        out = process.stream
        _send(process, b"".join(ahead))
        unanswered = 0
        try:
            while ahead is not None:
                unanswered += len(ahead)
                current, ahead = ahead, next(chunks, None)
                if ahead is not None:
                    _send(process, b"".join(ahead))
                for _ in current:
                    answer = _parse(out.readline())
                    content = b""
                    if whole and answer is not None:
                        content = out.read(answer.size)
                        out.read(1)
                    unanswered -= 1
                    yield answer, content
        finally:
            if unanswered or ahead is not None:
                # Abandoned in the middle: what is still in the pipe belongs to nobody.
                self.close()

    def _chunks(self, names: Iterable[str]) -> Iterator[list[bytes]]:
        lines: list[bytes] = []
        size = 0
        for name in names:
            line = self._encode(name)
            if lines and size + len(line) > _CHUNK_BYTES:
                yield lines
                lines, size = [], 0
            lines.append(line)
            size += len(line)
        if lines:
            yield lines


def _send(process: Running, lines: bytes) -> None:
    try:
        process.send(lines)
    except BrokenPipeError as error:
        raise CatFileDied from error


def _parse(line: bytes) -> ObjectInfo | None:
    if not line.endswith(b"\n"):
        raise CatFileDied
    words = line[:-1].split(b" ")
    if len(words) == 3 and words[2].isdigit():
        return ObjectInfo(words[0].decode(), words[1].decode(), int(words[2]))
    return None
