"""Lists of packages: what a file wants (requirements.txt, environment.yml, uv.lock and their kin), and how what is installed
differs from it. Files come as bytes; nothing is run here."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

from hundredweight.lineage.fields import RecordInvalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_NAME = re.compile(r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(?P<rest>.*)", re.DOTALL)
_CLAUSE = re.compile(r"(?P<op>===|==|~=|!=|<=|>=|<|>|=)\s*(?P<version>[^\s,]+)")
_VERSION = re.compile(
    r"v?(?:(?P<epoch>\d+)!)?(?P<release>\d+(?:\.\d+)*)(?:[-_.]?(?P<pre>alpha|beta|preview|pre|a|b|c|rc)[-_.]?(?P<pre_n>\d*))?"
    r"(?P<post>(?:-\d+)|(?:[-_.]?(?:post|rev|r)[-_.]?\d*))?(?P<dev>[-_.]?dev[-_.]?\d*)?(?:\+(?P<local>[a-z0-9._-]+))?",
    re.IGNORECASE,
)
_PRE = {"a": -3, "alpha": -3, "b": -2, "beta": -2, "c": -1, "rc": -1, "pre": -1, "preview": -1}
MAX_LIST = 16 << 20


def canonical(name: str) -> str:
    """A package's name as all lists compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse_requirements(name: str, data: bytes) -> dict[str, str]:
    """What a list wants: package -> version or specifier (`2.4.6`, `>=1.26,<3`, empty: any), names in canonical form.

    The file's `name` tells its kind: `*.txt` and `*.in` (pip), `environment.yml` and other YAML (conda), `uv.lock`,
    `poetry.lock`, `pylock.toml`, `pyproject.toml`, `Pipfile.lock`. Raises `RecordInvalid`.
    """
    if len(data) > MAX_LIST:
        raise RecordInvalid(name, f"more than {MAX_LIST} bytes")
    base = name.rpartition("/")[2].lower()
    try:
        text = data.decode("utf-8-sig")
        if base.endswith((".yml", ".yaml")):
            found = _conda(_yaml(text))
        elif base == "pyproject.toml":
            found = _project(tomllib.loads(text))
        elif base.endswith((".lock", ".toml")) and not base.startswith("pipfile"):
            found = _locked(tomllib.loads(text))
        elif base == "pipfile.lock":
            found = _pipfile(json.loads(text))
        else:
            found = _pip(text)
        return dict(found)
    except (ValueError, RecursionError) as error:
        first = str(error).strip().splitlines()
        raise RecordInvalid(name, f"no list of packages: {first[0] if first else error}") from error


def differences(installed: Mapping[str, str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """How what is installed differs from what is wanted, one line each, in order of name; what nobody asked for is none."""
    here = {canonical(name): version for name, version in installed.items()}
    lines = []
    for name, rule in sorted(wanted.items()):
        version = here.get(canonical(name))
        if version is None:
            lines.append(f"{name} is not installed" + (f", wanted {rule}" if rule else ""))
        elif not satisfies(version, rule):
            lines.append(f"{name} is {version}, wanted {rule}")
    return tuple(lines)


def satisfies(version: str, rule: str) -> bool:
    """Whether a version is what a rule wants. A bare version wants exactly that one; what is no rule (a URL) is content."""
    if not rule:
        return True
    clauses = list(_CLAUSE.finditer(rule))
    if not clauses:
        return _VERSION.fullmatch(rule) is None or _compare(version, rule) == 0
    return all(_holds(version, clause["op"], clause["version"]) for clause in clauses)


def _holds(version: str, op: str, wanted: str) -> bool:
    if op in ("==", "=", "===", "!=") and (wanted.endswith("*") or op == "="):
        prefix = wanted.rstrip("*").rstrip(".")
        same = _release(version)[: len(_release(prefix))] == _release(prefix)
        return not same if op == "!=" else same
    order = _compare(version, wanted, local=op in ("==", "===", "!=") and "+" in wanted)
    if op == "~=":
        prefix_release = _release(wanted)[:-1]
        return order >= 0 and _release(version)[: len(prefix_release)] == prefix_release
    held = {"==": order == 0, "===": version == wanted or order == 0, "!=": order != 0}
    return held.get(op, {"<=": order <= 0, ">=": order >= 0, "<": order < 0, ">": order > 0}.get(op, True))


def _compare(left: str, right: str, *, local: bool = False) -> int:
    """-1, 0 or 1. Local parts (`+cu124`) count where the rule names one."""
    one, two = _key(left, local), _key(right, local)
    return (one > two) - (one < two)


_Key = tuple[int, tuple[int, ...], int, int, int, int, str]


def _key(text: str, local: bool) -> _Key:
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        return (-1, (), 0, 0, 0, 0, text)
    release = _release(text)
    while release and release[-1] == 0:
        release = release[:-1]
    post = int(re.sub(r"\D", "", match["post"]) or 0) + 1 if match["post"] else 0
    dev = int(re.sub(r"\D", "", match["dev"]) or 0) if match["dev"] else 1 << 30
    # A development version comes before the alphas of its release.
    pre = _PRE[match["pre"].lower()] if match["pre"] else (-4 if match["dev"] and not post else 0)
    said = (match["local"] or "").lower() if local else ""
    return (int(match["epoch"] or 0), release, pre, int(match["pre_n"] or 0), post, dev, said)


def _release(text: str) -> tuple[int, ...]:
    match = _VERSION.fullmatch(text.strip())
    return tuple(int(part) for part in match["release"].split(".")) if match else ()


def _requirement(text: str) -> Iterator[tuple[str, str]]:
    """One requirement of PEP 508; a marker (`; python_version < "3.12"`) makes it optional, so that it wants nothing."""
    said, _, marker = text.partition(";")
    match = _NAME.fullmatch(said.strip())
    if match is None:
        raise ValueError(f"'{text.strip()[:60]}' is no requirement")
    if not marker.strip():
        rest = match["rest"].strip().strip("()")
        yield canonical(match["name"]), "" if rest.startswith("@") else _exact(re.sub(r"\s+", "", rest))


def _exact(rule: str) -> str:
    """`==1.2` alone is `1.2`."""
    return rule.removeprefix("==") if rule.startswith("==") and "," not in rule and "*" not in rule else rule


def _pip(text: str) -> Iterator[tuple[str, str]]:
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        said = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        said = re.split(r"\s--", said, maxsplit=1)[0].strip()
        if said and not said.startswith("-") and "://" not in said.partition("@")[0] and said[0] not in "./":
            yield from _requirement(said)


def _yaml(text: str) -> object:
    """Raises `ValueError`."""
    import yaml  # noqa: PLC0415 - 10 ms, for lists of this kind only

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _conda(document: object) -> Iterator[tuple[str, str]]:
    if not isinstance(document, dict):
        raise ValueError("not a table")
    listed = document.get("dependencies") or []
    if not isinstance(listed, list):
        raise ValueError("'dependencies' is not a list")
    for item in listed:
        if isinstance(item, dict):
            inner = item.get("pip") or []
            if not isinstance(inner, list):
                raise ValueError("'pip' is not a list")
            yield from _pip("\n".join(str(line) for line in inner))
        elif isinstance(item, str):
            said = item.rpartition("::")[2].split("#")[0].strip()
            match = _NAME.fullmatch(said)
            # Python is not a package of its own list; `record.Environment.python` has it.
            if match and canonical(match["name"]) not in ("python", "pip"):
                rest = match["rest"].strip()
                build = re.fullmatch(r"=(?P<version>[^=<>!,\s*]+)(?:=\S+)", rest)
                rule = build["version"] if build else rest.split(" ")[0]
                yield (
                    canonical(match["name"]),
                    f"=={rule}" if rule.endswith("*") and rule[0].isdigit() else _exact(rule),
                )


def _locked(document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """uv.lock and poetry.lock ([[package]]), pylock.toml ([[packages]]). What only some platforms need is not wanted."""
    packages = list(_tables(document.get("package") or document.get("packages") or []))
    names = [item.get("name") for item in packages]
    needed = _needed(packages)
    for item, name in zip(packages, names, strict=True):
        version = item.get("version", "")
        if not isinstance(name, str) or not isinstance(version, str):
            raise ValueError("a package without a name")
        conditional = item.get("marker") or item.get("markers") or item.get("optional") or names.count(name) > 1
        if not (_is_own(item) or conditional) and (needed is None or canonical(name) in needed):
            yield canonical(name), version


def _is_own(item: Mapping[str, object]) -> bool:
    """uv lists the project itself, too."""
    source = item.get("source")
    return isinstance(source, dict) and ("virtual" in source or "editable" in source)


def _needed(packages: list[Mapping[str, object]]) -> set[str] | None:
    """What uv's project needs on every platform; None for lists that do not say who needs what."""
    edges: dict[str, list[str]] = {}
    for item in packages:
        inner = [part for part in _tables(item.get("dependencies") or [], strict=False) if not part.get("marker")]
        edges.setdefault(canonical(str(item.get("name"))), []).extend(
            canonical(str(part.get("name"))) for part in inner
        )
    waiting = [canonical(str(item.get("name"))) for item in packages if _is_own(item)]
    if not waiting:
        return None
    found = set(waiting)
    while waiting:
        new = set(edges.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def _tables(value: object, *, strict: bool = True) -> Iterable[Mapping[str, object]]:
    """A list of tables; what is none is an error, or (not `strict`: poetry writes dependencies as a table) empty."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return value
    if strict:
        raise ValueError("the packages are not a list of tables")
    return ()


def _project(document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    project = document.get("project") or {}
    listed = project.get("dependencies", []) if isinstance(project, dict) else []
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise ValueError("'project.dependencies' is not a list of texts")
    for item in listed:
        yield from _requirement(item)


def _pipfile(document: object) -> Iterator[tuple[str, str]]:
    default = document.get("default", {}) if isinstance(document, dict) else None
    if not isinstance(default, dict):
        raise ValueError("'default' is not a table")
    for name, item in default.items():
        version = item.get("version", "") if isinstance(item, dict) else ""
        yield canonical(name), _exact(str(version).removeprefix("*"))
