"""`cwt release assign` and `unassign`: which version is in a stage, as tags that GTO reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.client.releases.naming import BadReleaseName, ReleaseExists
from hundredweight.client.releases.tagging import make_tag
from hundredweight.lineage import releases, tags
from hundredweight.lineage.releases import RELEASE_TRAILER

if TYPE_CHECKING:
    from hundredweight.git.run import Git
    from hundredweight.lineage.releases import Assignment, Registry, Release

_TRIES = 20


class NoSuchRelease(UsageError):
    """No release is called so. `name` is what was asked for."""

    hint = "run 'cwt release list' for those there are; 'git fetch --tags' brings the remote's"

    def __init__(self, name: str) -> None:
        super().__init__(f"no release is called '{name}'")
        self.name = name


class NotAssigned(UsageError):
    """Nothing is in the stage that should be left."""

    hint = "run 'cwt release list' to see what is where"

    def __init__(self, model: str, stage: str, release: str = "") -> None:
        super().__init__(f"'{release}' is not in '{model}#{stage}'" if release else f"nothing is in '{model}#{stage}'")


class Withdrawn(UsageError):
    """The release was taken back."""

    hint = "release it anew, or assign another"

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' is withdrawn")
        self.name = name


@dataclass(frozen=True)
class Assigned:
    """What is in the stage now (None: nothing), and what was before. `tags` are those that were made; none where it was
    so. `shared`
    are those that others need to see it, too."""

    model: str
    stage: str
    tags: tuple[str, ...]
    now: str | None
    before: str | None
    shared: tuple[str, ...] = ()


def find_release(registry: Registry, name: str) -> Release:
    """Raises `NoSuchRelease`, `AmbiguousRelease`."""
    found = registry.resolve(name)
    if found is None:
        raise NoSuchRelease(name)
    return found


def assign(git: Git, name: str, stage: str, now: float, *, notes: str = "", sign: bool = False) -> Assigned:
    """Put a release into a stage. Where it is there already nothing is done. Raises `NoSuchRelease`, `AmbiguousRelease`,
    `Withdrawn`, `BadReleaseName`, `TagFailed`."""
    _check_stage(stage)
    registry = releases.read(git)
    release = find_release(registry, name)
    if release.withdrawn:
        raise Withdrawn(release.name)
    model = _model_of(release)
    current = registry.in_stage(model, stage)
    before = _shown(current)
    if current is not None and current.commit == release.commit and current.release in (release.name, ""):
        return Assigned(model, stage, (), release.name, before, (release.name, current.tag))
    said = f"Assign {release.name} to {stage}\n\n" + (f"{notes.strip()}\n\n" if notes.strip() else "")
    made = _next_tag(git, model, stage, release.commit, f"{said}{RELEASE_TRAILER}{release.name}\n", now, sign=sign)
    return Assigned(model, stage, (made,), release.name, before, (release.name, made))


def unassign(
    git: Git, name: str, stage: str, now: float, *, everything: bool = False, notes: str = "", sign: bool = False
) -> Assigned:
    """Take a release out of a stage, or what is there now where `name` is a model; what was there before is in it again, unless
    `everything`: then the stage is empty. Raises `NoSuchRelease`, `NotAssigned`, `TagFailed`."""
    _check_stage(stage)
    registry = releases.read(git)
    model, ending = _ending(registry, name, stage, everything=everything)
    before = _shown(registry.in_stage(model, stage))
    made = []
    for assigned in ending:
        called = _shown(assigned) or ""
        said = f"Unassign {called} from {stage}\n\n" + (f"{notes.strip()}\n\n" if notes.strip() else "")
        trailer = f"{RELEASE_TRAILER}{called}\n" if assigned.release else ""
        made.append(_next_tag(git, model, stage, assigned.commit, said + trailer, now, ends=True, sign=sign))
    now_there = _shown(releases.read(git).in_stage(model, stage))
    return Assigned(model, stage, tuple(made), now_there, before, tuple(made))


def _ending(registry: Registry, name: str, stage: str, *, everything: bool) -> tuple[str, list[Assignment]]:
    """The model, and the assignments that end."""
    if name in registry.models and name not in registry.tags:
        model, commit = name, ""
    else:
        release = find_release(registry, name)
        model, commit = _model_of(release), release.commit
    held = registry.held(model, stage)
    if not held:
        raise NotAssigned(model, stage)
    if everything:
        return model, held
    chosen = [each for each in held if each.commit == commit] if commit else held[-1:]
    if not chosen:
        raise NotAssigned(model, stage, name)
    return model, chosen


def _next_tag(
    git: Git, model: str, stage: str, commit: str, message: str, now: float, *, ends: bool = False, sign: bool
) -> str:
    """The tag with the model's next number. Another one that takes the number at the same time only makes it the one after."""
    for _ in range(_TRIES):
        registry = releases.read(git)
        name = tags.stage_tag(model, stage, registry.next_number(model), ends=ends)
        latest = max((_seconds(each.when) for each in registry.assignments if each.model == model), default=0)
        try:
            # GTO knows order by seconds alone: this one is later than those that it follows.
            make_tag(git, name, commit, message, sign=sign, seconds=max(int(now), latest + 1))
        except ReleaseExists:
            continue
        return name
    raise ReleaseExists(name)


def _check_stage(stage: str) -> None:
    if not tags.is_stage_name(stage):
        raise BadReleaseName(
            f"'{stage}' cannot name a stage in a tag",
            hint="use letters, digits, '-', '_' and '/', none of the signs at its ends",
        )


def _model_of(release: Release) -> str:
    if release.model and not tags.is_model_name(release.model):
        raise BadReleaseName(
            f"'{release.model}', the model of '{release.name}', cannot name a model in a tag",
            hint="set a 'name' of letters, digits, '-' and '_' below [model] in hundredweight.toml, and release it anew",
        )
    if not release.model:
        raise BadReleaseName(
            f"'{release.name}' does not say of which model it is",
            hint="set 'name' below [model] in hundredweight.toml, and release it as MODEL@vX.Y.Z",
        )
    return release.model


def _shown(assigned: Assignment | None) -> str | None:
    return None if assigned is None else assigned.release or assigned.commit[:12]


def _seconds(when: str) -> int:
    return int(datetime.fromisoformat(when).timestamp())
