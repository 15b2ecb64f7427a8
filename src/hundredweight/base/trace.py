"""Git's own tracing, GIT_TRACE and friends: what happens, for who asks. Silent unless the edge sets a sink.

Lines read `HH:MM:SS.ffffff trace git-lfs: TEXT`, like git-lfs's, since its users and its tests search for them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_sink: Callable[[str], None] | None = None


def set_sink(sink: Callable[[str], None] | None) -> None:
    """Called once by the edge. `sink` gets one line without its line end, from any thread."""
    global _sink
    _sink = sink


def enabled() -> bool:
    return _sink is not None


def trace(text: str) -> None:
    """Free when nobody listens; build expensive texts behind `enabled()`."""
    if _sink is not None:
        _sink(text)
