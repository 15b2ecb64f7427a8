"""Settings per URL, `SECTION.<url>.VARIABLE`, by git's rules (git-config(1), `http.<url>.*`) with git-lfs's two additions.

Scheme and port must match; the host too, where `*` in the setting stands for one label; the setting's path must be a
prefix of the URL's by whole elements; a user in the setting must be the URL's. The best match is by host, then path,
then user. git-lfs's additions: `repo` in a setting also matches `repo.git` when `/info/lfs` follows, and the plain
`SECTION.VARIABLE` is the fallback.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from hundredweight.git.config import parse_bool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from hundredweight.git.config import Config

_PORTS = {"http": 80, "https": 443, "ssh": 22}


def values(config: Config, section: str, url: str, variable: str) -> list[str]:
    """All values of the best matching key, in git's order; those of `SECTION.VARIABLE` when no URL matches."""
    best = _best(config, section, url, variable)
    return config.all(f"{section}.{best}.{variable}" if best else f"{section}.{variable}")


def value(config: Config, section: str, url: str, variable: str, default: str = "") -> str:
    """The last of `values`."""
    found = values(config, section, url, variable)
    return found[-1] if found else default


def flag(config: Config, section: str, url: str, variable: str, default: bool) -> bool:
    found = values(config, section, url, variable)
    return parse_bool(found[-1], default) if found else default


def host(url: str) -> str:
    """The URL's host; empty for what is no URL."""
    parts = _split(url)
    return (parts.hostname or "") if parts is not None else ""


def _best(config: Config, section: str, url: str, variable: str) -> str:
    candidates = config.subsections(section, variable)
    wanted = _split(url) if candidates else None
    if wanted is None:
        return ""
    best, best_score = "", (0, 0, 0)
    for candidate in candidates:
        pattern = _split(candidate)
        score = _score(wanted, pattern) if pattern is not None else None
        if score is not None and score > best_score:
            best, best_score = candidate, score
    return best


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme else None


def _score(wanted: SplitResult, pattern: SplitResult) -> tuple[int, int, int] | None:
    if wanted.scheme != pattern.scheme or _port(wanted) != _port(pattern):
        return None
    host = _score_host((wanted.hostname or "").split("."), (pattern.hostname or "").split("."))
    path = _score_path(wanted.path, pattern.path)
    if host == 0 or path == 0:
        return None
    if pattern.username is not None and pattern.username != wanted.username:
        return None
    return host, path, int(pattern.username is not None)


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS.get(parts.scheme, 0)


def _score_host(wanted: list[str], pattern: list[str]) -> int:
    if len(wanted) != len(pattern) or any(b not in ("*", a) for a, b in zip(wanted, pattern, strict=True)):
        return 0
    return len(wanted) + 1 - pattern.count("*")


def _score_path(wanted: str, pattern: str) -> int:
    have = [part for part in wanted.split("/") if part]
    score = 1
    for number, part in enumerate(part for part in pattern.split("/") if part):
        if number >= len(have):
            return 0
        if have[number] == part:
            score += 2
        elif have[number] == f"{part}.git" and have[number + 1 : number + 3] == ["info", "lfs"]:
            score += 1
        else:
            return 0
    return score
