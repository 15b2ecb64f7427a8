"""All settings of a hub, from the environment (`CWT_HUB_*`) and the command line. Documented in docs/settings.md."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.base.sizes import BadSize, parse_size
from hundredweight.protocol.parts import MAX_PART, MIN_PART

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "CWT_HUB_"
_SIZES = ("max_blob", "max_object", "part_size", "max_staged")
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off", "")


class BadSetting(UsageError):
    """A setting has an impossible value; `name` tells which."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"invalid setting '{name}': {reason}")
        self.name = name


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How one hub runs. `data` is its folder; everything else has a default."""

    data: str
    host: str = "127.0.0.1"
    port: int = 8417
    public_url: str = ""
    """Where clients reach the hub, with scheme, when it is behind a proxy that hides it; empty: what each request says."""
    max_blob: int = 10 << 20
    """Bytes; a push that adds a larger blob outside LFS is refused. 0: no bound."""
    max_batch: int = 1000
    """Objects in one batch request; more get 413."""
    max_object: int = 0
    """Bytes of one object; 0: no bound."""
    part_size: int = 16 << 20
    """Bytes; larger objects come in parts of that size from clients that can, so an interrupted upload goes on. Keep it
    below what a
    proxy in front takes as a request's body."""
    max_staged: int = 256 << 30
    """Bytes of all unfinished uploads in parts that one user may have."""
    pack: bool = True
    """Whether uploaded objects are packed in the background."""
    git_processes: int = 16
    """git processes that run at once for fetches and pushes; further requests wait."""
    anonymous_read: bool = False
    """Whether everybody may read every repository, without a token."""
    idle_seconds: int = 120
    """How long a request's body may pause before the hub gives it up."""
    action_seconds: int = 3600
    """How long the URLs that a batch request hands out stay valid."""
    grace_seconds: int = 30
    """How long running requests may take to finish after SIGTERM."""
    log_format: str = "text"

    def __post_init__(self) -> None:
        if not self.data:
            raise BadSetting("data", "empty")
        if not 0 <= self.port <= 65535:
            raise BadSetting("port", f"{self.port} is no port")
        if self.log_format not in ("text", "json"):
            raise BadSetting("log_format", f"'{self.log_format}' is neither text nor json")
        if self.public_url and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", self.public_url):
            raise BadSetting("public_url", f"'{self.public_url}' is no http or https URL")
        for name, low in (
            ("max_blob", 0),
            ("max_object", 0),
            ("max_batch", 1),
            ("part_size", MIN_PART),
            ("max_staged", 0),
            ("git_processes", 1),
            ("action_seconds", 10),
            ("idle_seconds", 1),
            ("grace_seconds", 0),
        ):
            if getattr(self, name) < low:
                raise BadSetting(name, f"less than {low}")
        if self.part_size > MAX_PART:
            raise BadSetting("part_size", f"more than {MAX_PART}")

    @property
    def database_url(self) -> str:
        return "sqlite:///" + self.inside("hub.db")

    @property
    def objects_folder(self) -> str:
        return self.inside("objects")

    @property
    def repositories_folder(self) -> str:
        return self.inside("repositories")

    @property
    def uploads_folder(self) -> str:
        """Unfinished uploads; emptied at start."""
        return self.inside("tmp", "uploads")

    @property
    def moves_folder(self) -> str:
        """Repositories on their way in or out; emptied at start."""
        return self.inside("tmp", "repositories")

    def inside(self, *names: str) -> str:
        return os.path.join(os.path.abspath(self.data), *names)


def load(variables: Mapping[str, str] | None = None, **given: object) -> Settings:
    """`given` (None: not given) over `CWT_HUB_NAME` variables over defaults. Raises `BadSetting`."""
    environment = os.environ if variables is None else variables
    values: dict[str, object] = {}
    for field in fields(Settings):
        text = environment.get(PREFIX + field.name.upper())
        chosen = given.get(field.name)
        if chosen is None and text is not None:
            chosen = text
        if chosen is not None:
            values[field.name] = parse(field.name, chosen)
    if "data" not in values:
        raise BadSetting("data", "missing; name the data folder with --data")
    return Settings(**values)  # type: ignore[arg-type]


def parse(name: str, value: object) -> object:
    """A setting's value from text; other values pass. Raises `BadSetting`."""
    if not isinstance(value, str):
        return value
    kind = type(getattr(Settings, name, ""))
    if kind is bool:
        if value.lower() not in (*_TRUE, *_FALSE):
            raise BadSetting(name, f"'{value}' is neither true nor false")
        return value.lower() in _TRUE
    if kind is int:
        return _parse_size(name, value) if name in _SIZES else _parse_whole(name, value)
    return value


def _parse_size(name: str, value: str) -> int:
    """A bare letter is binary, as git has it: 10M is 10 MiB."""
    text = value.strip()
    try:
        return parse_size(text + "iB" if text[-1:].lower() in ("k", "m", "g", "t") else text)
    except BadSize as error:
        raise BadSetting(name, error.message) from error


def _parse_whole(name: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 12):
        raise BadSetting(name, f"'{value}' is no whole number")
    return int(value)
