"""Progress as values: the layers below report, the edge draws.

A `Meter` is called from several threads; implementations lock for themselves. Contract: `start` once, then for
each object any number of `advance`, then `done` or `failed` once; `finish` once at the end, also after an error.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Meter(Protocol):
        """Where transfers say how far they are. `direction` is download, upload or checkout; sizes in bytes."""

        def start(self, direction: str, files: int, size: int) -> None: ...
        def add(self, files: int, size: int) -> None:
            """More work became known after `start`."""

        def begin(self, name: str, size: int) -> None:
            """The transfer of `name`, of `size` bytes, begins. Optional: `advance` may come without it."""

        def advance(self, name: str, delta: int) -> None:
            """`delta` bytes of `name` moved; negative when an attempt starts over."""

        def done(self, name: str) -> None: ...
        def failed(self, name: str) -> None: ...
        def finish(self) -> None: ...


class NullMeter:
    """Draws nothing."""

    def start(self, direction: str, files: int, size: int) -> None:
        """Nothing to draw."""

    def add(self, files: int, size: int) -> None:
        """Nothing to draw."""

    def begin(self, name: str, size: int) -> None:
        """Nothing to draw."""

    def advance(self, name: str, delta: int) -> None:
        """Nothing to draw."""

    def done(self, name: str) -> None:
        """Nothing to draw."""

    def failed(self, name: str) -> None:
        """Nothing to draw."""

    def finish(self) -> None:
        """Nothing to draw."""
