"""git's long-running filter: one process that cleans and smudges all files of one git command.

A missing object's smudge is delayed when git allows it: git goes on with other files while objects are fetched in
parallel, then asks which have arrived.
"""

from __future__ import annotations

import os

from hundredweight.base.errors import DamageError
from hundredweight.base.trace import trace
from hundredweight.client.clean import Cleaner
from hundredweight.client.smudge import Smudger, fetch_now, send_object
from hundredweight.protocol.filter import (
    DELAYED,
    END,
    FAILED,
    SUCCESS,
    FilterProtocolError,
    Inbound,
    answer_capabilities,
    answer_welcome,
    encode_available,
    encode_content,
    parse_request,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from hundredweight.client.downloads import Downloads
    from hundredweight.client.filter_stream import FilterStream
    from hundredweight.client.workspace import Workspace
    from hundredweight.protocol.filter import Request
    from hundredweight.protocol.pointer import Pointer


class FilterProcess:
    """Serves git on `stream` until git closes it. `malformed` lists the paths that should have been pointers."""

    def __init__(
        self, workspace: Workspace, stream: FilterStream, *, skip: bool = False, say: Callable[[str], None]
    ) -> None:
        """`say` gets lines for the user, while git waits."""
        self._workspace = workspace
        self._stream = stream
        self._say = say
        self._cleaner = Cleaner(workspace)
        self._smudger = Smudger(workspace, skip=skip)
        self._delayed: dict[str, Pointer] = {}
        self._downloads: Downloads | None = None
        self.malformed: list[str] = []

    def run(self) -> None:
        """Raises `CwtError` when a file cannot be filtered; the process should end then, and git fails the command."""
        trace("Initialize filter-process")
        welcome = self._stream.read_list()
        if welcome is None:
            return
        self._stream.send(answer_welcome(welcome))
        self._stream.send(answer_capabilities(self._stream.read_list() or []))
        while (lines := self._stream.read_list()) is not None:
            request = parse_request(lines)
            if request.command == "clean":
                output, _ = self._cleaner.clean(self._stream, request.path)
                self._stream.send(SUCCESS + encode_content(output) + END)
            elif request.command == "smudge":
                self._smudge(request)
            elif request.command == "list_available_blobs":
                self._stream.send(encode_available(self._arrived()))
            else:
                raise FilterProtocolError(f'unknown command "{request.command}"')
        if self._downloads is not None:
            self._downloads.finish()

    def _smudge(self, request: Request) -> None:
        data = self._stream.read_short()
        if data is None:
            self.malformed.append(request.path)
            self._pass_through()
            return
        # git sends a delayed file's pointer only once
        delayed = self._delayed.pop(request.path, None)
        if delayed is not None and not data:
            data = delayed.encode()
        resolution = self._smudger.resolve(data, request.path)
        if resolution.malformed:
            self.malformed.append(request.path)
        pointer, content = resolution.pointer, resolution.content
        if resolution.missing and pointer is not None:
            if request.can_delay:
                self._delay(request, pointer)
                return
            content = fetch_now(self._downloader(request), self._smudger, request.path, pointer, self._say)
        if content is None and pointer is not None:
            # What was missing a moment ago was hashed on its way in.
            self._send_object(request, pointer, hashed=delayed is None and not resolution.missing)
        else:
            self._stream.send(SUCCESS + encode_content(content or b"") + END)

    def _send_object(self, request: Request, pointer: Pointer, *, hashed: bool) -> None:
        begun = False

        def send(descriptor: int) -> tuple[int, str]:
            nonlocal begun
            begun = True
            return self._stream.send_file(descriptor, SUCCESS, hashed and not pointer.extensions)

        try:
            send_object(self._workspace, pointer, request.path, send)
        except DamageError as error:
            if not begun:
                raise
            self._say(f"error: {error.message}")
            self._say(f"hint: {error.hint}")
            self._stream.send(FAILED)
        else:
            self._stream.send(END)

    def _pass_through(self) -> None:
        """Large content that is no pointer. git reads no answer before it has sent everything, hence the file."""
        frame = Inbound()
        with self._workspace.store.writer() as spool:
            ended = False
            while not ended:
                length, ended = self._stream.read_block(frame)
                spool.write(frame.payload[:length])
            os.lseek(spool.descriptor, 0, os.SEEK_SET)
            self._stream.send_file(spool.descriptor, SUCCESS, hashed=False)
            self._stream.send(END)

    def _delay(self, request: Request, pointer: Pointer) -> None:
        self._delayed[request.path] = pointer
        self._downloader(request).add(request.path, pointer)
        self._stream.send(DELAYED)

    def _downloader(self, request: Request) -> Downloads:
        if self._downloads is None:
            from hundredweight.client.downloads import Downloads  # noqa: PLC0415 - network code, for missing objects only

            self._downloads = Downloads(self._workspace, request.treeish)
        return self._downloads

    def _arrived(self) -> list[str]:
        """Paths whose objects are here. When none is left to wait for: all that git has not asked for again, which then
        get their error; and at last an empty list."""
        paths = self._downloads.available() if self._downloads is not None else []
        return paths or list(self._delayed)
