"""Which tag a release gets: the name that was given, or the next version of its model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.lineage import tags
from hundredweight.lineage.releases import DEPLOYED
from hundredweight.lineage.tags import FIRST, Bump, Kind, Version

if TYPE_CHECKING:
    from hundredweight.git.run import Git
    from hundredweight.lineage.releases import Registry, Release


class BadReleaseName(UsageError):
    """A name that no release can have."""


class ReleaseExists(UsageError):
    """The tag is there already. Nothing was done."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the tag '{name}' exists already", hint=f"name another, or run 'cwt release show {name}'")
        self.name = name


class NoModelName(UsageError):
    """Nothing says what the model is called."""

    hint = "set 'name' below [model] in hundredweight.toml, or give --model NAME"

    def __init__(self) -> None:
        super().__init__("the model has no name")


@dataclass(frozen=True, slots=True)
class ReleaseName:
    """`tag` is the whole name; `version` its semantic version, None of a plain one."""

    tag: str
    model: str
    version: Version | None


def choose_name(git: Git, registry: Registry, asked: str, model: str, bump: Bump) -> ReleaseName:
    """The name of a new release. `asked` is what the user named: a tag, a model, or nothing: then it is the next version of
    `model` (empty: of the only one there is). Raises `BadReleaseName`, `ReleaseExists`, `NoModelName`."""
    if asked and asked != model and asked not in registry.models:
        chosen = _as_asked(git, asked, model)
    else:
        chosen = _next(registry, asked or model, bump)
    if git.ok("show-ref", "--verify", "--quiet", f"refs/tags/{chosen.tag}"):
        raise ReleaseExists(chosen.tag)
    return chosen


def _as_asked(git: Git, asked: str, model: str) -> ReleaseName:
    parsed = tags.parse(asked)
    if parsed.kind not in (Kind.VERSION, Kind.PLAIN) or asked.startswith(DEPLOYED):
        raise BadReleaseName(
            f"'{asked}' does not name a release: it would mean that something is {parsed.kind}",
            hint="name it MODEL@vX.Y.Z, or otherwise without '@' and '#'; stages are 'cwt release assign'",
        )
    if not git.ok("check-ref-format", f"refs/tags/{asked}") or asked.startswith("-"):
        raise BadReleaseName(f"'{asked}' is no name for a tag", hint="'git help check-ref-format' says which names are")
    if parsed.kind is Kind.PLAIN and any(sign in asked for sign in "@#"):
        raise BadReleaseName(
            f"'{asked}' is nearly a version of a model", hint="write it MODEL@vX.Y.Z, as digits@v1.2.0"
        )
    if parsed.model and model and parsed.model != model:
        raise BadReleaseName(
            f"'{asked}' is a version of '{parsed.model}', and the model is '{model}'",
            hint=f"give --model {parsed.model}",
        )
    return ReleaseName(asked, parsed.model or model, parsed.version)


def _next(registry: Registry, model: str, bump: Bump) -> ReleaseName:
    models = registry.models
    if not model and len(models) == 1:
        model = models[0]
    if not model:
        raise NoModelName
    if not tags.is_model_name(model):
        raise BadReleaseName(
            f"'{model}' cannot name a model in a tag",
            hint="use letters, digits, '-', '_' and '/', none of the signs at its ends",
        )
    version = next_version(registry.of(model), bump)
    return ReleaseName(tags.version_tag(model, version), model, version)


def next_version(releases: tuple[Release, ...], bump: Bump) -> Version:
    """After the highest one, a withdrawn one too: its number is spent."""
    known = [release.semantic for release in releases if release.semantic is not None]
    return max(known).bump(bump) if known else FIRST
