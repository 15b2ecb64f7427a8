"""What a user names to be deployed: `SOURCE@REF`, `SOURCE#STAGE`, `SOURCE#MODEL#STAGE`.

REF may hold `@` itself (`model@v1.2.0`) and so may SOURCE (`git@host:team/model.git`), so where SOURCE ends depends on
what it is:
in a URL, at the first `@` or `#` after the host; in `user@host:path`, at the first one after the colon; of a folder on this
machine, at the first one behind the name of an existing folder. An empty SOURCE is the current folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from hundredweight.base.errors import UsageError

HINT = (
    "name a release, a branch, a commit or a stage: 'cwt deploy SOURCE@REF --to DIR', 'cwt deploy SOURCE#prod --to DIR'"
)


class NothingNamed(UsageError):
    """The command line does not say what to deploy, or from where."""

    hint = HINT


@dataclass(frozen=True, slots=True)
class Wanted:
    """`source` is a URL or an absolute path. `ref` is a name of git's or a release's; with `stage` it is `prod` or
    `model#prod`."""

    source: str
    ref: str
    stage: bool = False

    @property
    def local(self) -> bool:
        return os.path.isabs(self.source)

    @property
    def text(self) -> str:
        """As a user would write it, without a password."""
        return f"{without_password(self.source)}{'#' if self.stage else '@'}{self.ref}"


def parse(text: str, folder: str) -> Wanted:
    """`folder` is where relative paths begin. Raises `NothingNamed`."""
    place = _separator(text, folder)
    if place < 0:
        raise NothingNamed(f"'{text}' does not say which version is to be deployed")
    source, mark, ref = text[:place], text[place], text[place + 1 :]
    if not ref or ref.startswith("-"):
        raise NothingNamed(f"'{text}' names no version after the '{mark}'")
    return Wanted(absolute(source, folder), ref, mark == "#")


def absolute(source: str, folder: str) -> str:
    """A URL as it is, a path without its relative part."""
    return source if _is_url(source) or _colon(source) else os.path.abspath(os.path.join(folder, source or "."))


def without_password(source: str) -> str:
    """For messages and the journal: user names stay, passwords and tokens go."""
    scheme, separator, rest = source.partition("://")
    host, slash, path = rest.partition("/")
    if not separator or "@" not in host:
        return source
    user, _, address = host.rpartition("@")
    name, colon, _ = user.partition(":")
    kept = f"{name}@" if colon and name else "" if scheme.startswith("http") else f"{user}@"
    return f"{scheme}://{kept}{address}{slash}{path}"


def _separator(text: str, folder: str) -> int:
    """Where the source ends; -1 when nothing says so."""
    places = [place for place, char in enumerate(text) if char in "@#"]
    if _is_url(text):
        host = text.index("://") + 3
        begin = text.find("/", host)
        return next((place for place in places if 0 <= begin < place), -1)
    colon = _colon(text)
    if colon:
        return next((place for place in places if colon < place), -1)
    for place in places:
        if os.path.isdir(os.path.join(folder, text[:place] or ".")):
            return place
    if places:
        source = text[: places[0]]
        raise NothingNamed(f"'{source}' is no folder", hint="name a git repository by its folder or its URL")
    return -1


def _is_url(text: str) -> bool:
    scheme, separator, _ = text.partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum()


def _colon(text: str) -> int:
    """Where the path of `user@host:path` begins; 0 when the text is not of that form."""
    colon = text.find(":")
    return colon if colon > 0 and "/" not in text[:colon] else 0
