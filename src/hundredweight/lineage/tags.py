"""Names of tags and what they say: GTO's forms, semantic versions, and any other name.

| tag | meaning |
|---|---|
| `model@v1.2.0` | version 1.2.0 of the model |
| `model@v1.2.0!` | that version is withdrawn |
| `model#prod#3`, `model#prod` | the version of that commit goes to the stage; 3 counts the model's assignments |
| `model#prod!#4`, `model#prod!` | it leaves the stage |
| `model@deprecated`, `model@created` | about the model as a whole |
| `path/to/dir=model@v1.2.0` | the same of one model of several, called `path/to/dir:model` |
| `v1.2.0`, `1.2.0` | a version of the only model |
| anything else | a plain name |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import total_ordering

_NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9\-/_]*[a-zA-Z0-9])?"
_MODEL = rf"(?:[a-zA-Z0-9\-_./]+{{}})?{_NAME}"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRE = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
_SEMVER = (
    rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<pre>{_PRE}(?:\.{_PRE})*))?(?:\+(?P<build>[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?"
)
_TAG = re.compile(
    rf"(?P<model>{_MODEL.format('=')})"
    rf"(?:(?:#(?P<stage>{_NAME})|@(?P<version>v{_SEMVER}))(?P<cancel>!?)|@(?P<whole>deprecated|created))"
    r"(?:#(?P<number>[0-9]+))?"
)
_PLAIN_VERSION = re.compile(rf"v?{_SEMVER}")
_MODEL_NAME = re.compile(_MODEL.format(":"))
_STAGE_NAME = re.compile(_NAME)
_LIKE_A_VERSION = re.compile(r"[vV][0-9]+(?:[._-].+)?|[0-9]+\.[0-9]+(?:[._-].+)?")


class Kind(StrEnum):
    """What a tag is about."""

    VERSION = "version"
    WITHDRAWN = "withdrawn"
    ASSIGNED = "assigned"
    UNASSIGNED = "unassigned"
    DEPRECATED = "deprecated"
    CREATED = "created"
    PLAIN = "plain"


class Bump(StrEnum):
    """Which number of a version goes up."""

    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version; ordered as semver.org says, build metadata last so that the order is total."""

    major: int
    minor: int
    patch: int
    pre: str = ""
    build: str = ""

    def __str__(self) -> str:
        """With the `v` in front."""
        text = f"v{self.major}.{self.minor}.{self.patch}"
        return text + (f"-{self.pre}" if self.pre else "") + (f"+{self.build}" if self.build else "")

    def __lt__(self, other: Version) -> bool:
        return self._key() < other._key()

    def bump(self, which: Bump) -> Version:
        """The next one; what says that this one was preliminary goes."""
        if which is Bump.MAJOR:
            return Version(self.major + 1, 0, 0)
        if which is Bump.MINOR:
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)

    def _key(self) -> tuple[object, ...]:
        # A preliminary version comes before the version itself; numbers before words.
        parts = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in self.pre.split("."))
        return self.major, self.minor, self.patch, not self.pre, parts if self.pre else (), self.build


FIRST = Version(1, 0, 0)
"""Of a model that had none."""


@dataclass(frozen=True, slots=True)
class TagName:
    """A parsed name. `model` as GTO shows it (`dir:model`), empty where the tag names none; `version` where it is a semantic
    one; `number` counts a model's assignments, 0 where the tag has none."""

    kind: Kind
    name: str
    model: str = ""
    version: Version | None = None
    stage: str = ""
    number: int = 0


def parse(name: str) -> TagName:
    """What the tag of that name (without refs/tags/) says. Every name says something: at least it is a plain one."""
    match = _TAG.fullmatch(name)
    if match is None:
        version = parse_version(name)
        return TagName(Kind.VERSION, name, "", version) if version else TagName(Kind.PLAIN, name)
    model = match["model"].replace("=", ":")
    number = int(match["number"] or 0)
    if match["whole"]:
        return TagName(Kind(match["whole"]), name, model, number=number)
    if match["stage"]:
        kind = Kind.UNASSIGNED if match["cancel"] else Kind.ASSIGNED
        return TagName(kind, name, model, stage=match["stage"], number=number)
    kind = Kind.WITHDRAWN if match["cancel"] else Kind.VERSION
    return TagName(kind, name, model, _version(match), number=number)


def parse_version(text: str) -> Version | None:
    """`v1.2.0`, `1.2.0-rc.1`; None for what is no semantic version."""
    match = _PLAIN_VERSION.fullmatch(text)
    return _version(match) if match else None


def version_tag(model: str, version: Version) -> str:
    """`model@v1.2.0`; without a model `v1.2.0`."""
    return f"{_in_tag(model)}@{version}" if model else str(version)


def stage_tag(model: str, stage: str, number: int, *, ends: bool = False) -> str:
    """`model#prod#3`, or `model#prod!#3` where the stage is left."""
    return f"{_in_tag(model)}#{stage}{'!' if ends else ''}#{number}"


def withdrawn_tag(model: str, version: Version) -> str:
    """`model@v1.2.0!`."""
    return version_tag(model, version) + "!"


def is_model_name(text: str) -> bool:
    """Whether tags can name a model so: letters, digits, `-`, `_`, `/`, no sign at its ends; `dir:` may come before."""
    return bool(_MODEL_NAME.fullmatch(text)) and ".." not in text


def is_stage_name(text: str) -> bool:
    """As a model's name, without a folder."""
    return bool(_STAGE_NAME.fullmatch(text))


def looks_like_version(name: str) -> bool:
    """Whether a plain name is meant as a version, as `v1.2-qwen3vl8b-ecommerce` is."""
    return bool(_LIKE_A_VERSION.fullmatch(name))


def _version(match: re.Match[str]) -> Version:
    return Version(
        int(match["major"]), int(match["minor"]), int(match["patch"]), match["pre"] or "", match["build"] or ""
    )


def _in_tag(model: str) -> str:
    return model.replace(":", "=")
