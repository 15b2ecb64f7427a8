"""Git's own tracing, GIT_TRACE and friends: what happens, for who asks; and notices to the user. Silent unless the edge
sets a sink.

Lines read `HH:MM:SS.ffffff trace git-lfs: TEXT`, like git-lfs's, since its users and its tests search for them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_sink: Callable[[str], None] | None = None
_http_sink: Callable[[str], None] | None = None
_notice_sink: Callable[[str], None] | None = None


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


def set_http_sink(sink: Callable[[str], None] | None) -> None:
    """GIT_CURL_VERBOSE: `sink` gets each request's and response's headers and text bodies, raw, from any thread."""
    global _http_sink
    _http_sink = sink


def http_enabled() -> bool:
    return _http_sink is not None


def http(text: str) -> None:
    if _http_sink is not None:
        _http_sink(text)


def set_notice_sink(sink: Callable[[str], None] | None) -> None:
    """Called once by the edge. `sink` gets what the user must know while the work goes on, whole lines, from any thread."""
    global _notice_sink
    _notice_sink = sink


def notice(text: str) -> None:
    """Tell the user at once, without failing. For what cannot wait until the action returns its result."""
    if _notice_sink is not None:
        _notice_sink(text)
