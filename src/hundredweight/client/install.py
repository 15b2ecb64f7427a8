"""`git lfs install`, `uninstall` and `update`: the LFS filter in git's configuration, and keys of older versions."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hundredweight.base.errors import CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.config import Config
    from hundredweight.git.run import Git

SECTION = "filter.lfs"
_SMUDGE = ("git-lfs smudge -- %f", "git-lfs smudge --skip -- %f")
_PROCESS = ("git-lfs filter-process", "git-lfs filter-process --skip")
_FORMER = {
    "clean": ("git-lfs clean %f",),
    "smudge": ("git-lfs smudge %f", "git-lfs smudge --skip %f", *_SMUDGE),
    "process": ("git-lfs filter", "git-lfs filter --skip", *_PROCESS),
}


class FilterConflict(CwtError):
    """The configuration has another value, which is nobody's known default. `key`, `expected` and `got` tell."""

    hint = "run 'git lfs install --force' to replace it"

    def __init__(self, key: str, expected: str, got: str) -> None:
        super().__init__(f'the "{key}" attribute should be "{expected}" but is "{got}"')
        self.key = key
        self.expected = expected
        self.got = got


class ConfigFailed(CwtError):
    """git could not read or change that configuration."""

    def __init__(self, args: tuple[str, ...], stderr: str) -> None:
        super().__init__(f"error running git '{' '.join(args)}': '{stderr}'")
        self.stderr = stderr


@dataclass(frozen=True)
class Scope:
    """Which of git's configuration files: `options` of `git config` that name it."""

    options: tuple[str, ...] = ("--global",)


@dataclass(frozen=True)
class FilterPlan:
    """The keys to set, in order. Empty when all is well already."""

    changes: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class AccessPlan:
    """What `update` does about `lfs.URL.access`: (url, value) of those to set to basic, and of those to remove."""

    to_basic: list[tuple[str, str]] = field(default_factory=list)
    to_remove: list[tuple[str, str]] = field(default_factory=list)


def filter_values(skip_smudge: bool) -> dict[str, str]:
    """The filter's keys, by which git runs it."""
    return {
        "clean": "git-lfs clean -- %f",
        "smudge": _SMUDGE[skip_smudge],
        "process": _PROCESS[skip_smudge],
        "required": "true",
    }


def plan_filter(git: Git, scope: Scope, *, skip_smudge: bool = False, force: bool = False) -> FilterPlan:
    """What must change in that file. Raises `FilterConflict` unless `force`."""
    present = _present(git, scope)
    plan = FilterPlan()
    for name, value in filter_values(skip_smudge).items():
        key = f"{SECTION}.{name}"
        found = present.get(key, "")
        if found == value and not force:
            continue
        if found and not force and found not in _FORMER.get(name, ()):
            raise FilterConflict(key, value, found)
        plan.changes.append((key, value))
    return plan


def install_filter(git: Git, scope: Scope, plan: FilterPlan) -> None:
    """Carry out the plan. Raises `ConfigFailed`; a key is set or not, never half."""
    for key, value in plan.changes:
        _write(git, "config", *scope.options, "--replace-all", key, value)


def uninstall_filter(git: Git, scope: Scope) -> None:
    """Remove the whole section from that file. Raises `ConfigFailed`; nothing happens where it is not."""
    if any(key.startswith(SECTION + ".") for key in _present(git, scope)):
        _write(git, "config", *scope.options, "--remove-section", SECTION)


def plan_access(config: Config) -> AccessPlan:
    """Look through all `lfs.URL.access`: `private` was an older name of `basic`; others but basic, negotiate and none are
    invalid."""
    plan = AccessPlan()
    for key in config.keys():  # noqa: SIM118 - a Config is no mapping
        if key.startswith("lfs.") and key.endswith(".access") and len(key) > len("lfs..access"):
            url, value = key[len("lfs.") : -len(".access")], config.get(key)
            if value == "private":
                plan.to_basic.append((url, value))
            elif value not in ("basic", "negotiate", "none"):
                plan.to_remove.append((url, value))
    return plan


def update_access(workspace: Workspace, plan: AccessPlan) -> None:
    """Carry out the plan in the clone's own configuration."""
    for url, _ in plan.to_basic:
        _write(workspace.git, "config", "--local", "--replace-all", f"lfs.{url}.access", "basic")
    for url, _ in plan.to_remove:
        # Another scope may be where it stands; that one is not this clone's to change.
        workspace.git.run("config", "--local", "--unset-all", f"lfs.{url}.access")


def _present(git: Git, scope: Scope) -> dict[str, str]:
    args = ("config", *scope.options, "--includes", "-z", "--get-regexp", r"^filter\.lfs\.")
    listed = git.run(*args)
    if listed.code > 1:
        # 1 says that nothing was found; more, that there is no such scope.
        raise ConfigFailed(args, listed.err.decode("utf-8", "replace").strip())
    pairs = (item.partition("\n")[::2] for item in os.fsdecode(listed.out).split("\0") if item)
    return dict(pairs)


def _write(git: Git, *args: str) -> None:
    done = git.run(*args)
    if done.code:
        raise ConfigFailed(args, done.err.decode("utf-8", "replace").strip())
