"""What keeps a release from being made: weights that nobody could get, changes that are not committed, metrics that are worse
than the team allows."""

from __future__ import annotations

from operator import gt, lt
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.base.ids import Oid
from hundredweight.base.trace import trace
from hundredweight.lineage.weights import weights_in_git
from hundredweight.protocol.batch import BASIC, DOWNLOAD, Wanted
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from hundredweight.client.workspace import Workspace
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.record import Weights

BATCH = 100
_SHOWN = 3


class ReleaseRefused(UsageError):
    """A release is not made because of what it would stand for. Nothing was done."""

    exit_code = 1


class NoWeights(ReleaseRefused):
    """The revision has no weights that a release could stand for."""


class WeightsMissing(ReleaseRefused):
    """Pointers whose objects are neither here nor on the server. `paths` are theirs."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(
            f"the weights {_few(paths)} are neither here nor on the server",
            hint="run 'git lfs push --all REMOTE' where they were made, or 'git lfs fetch' from another remote",
        )
        self.paths = tuple(paths)


class NotCommitted(ReleaseRefused):
    """Tracked files differ from the commit that would be released. `paths` are these files."""

    hint = "commit them, or set them aside with 'git stash'"

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(f"{_few(paths)} differ from the commit that would be released")
        self.paths = tuple(paths)


class GateClosed(ReleaseRefused):
    """Metrics that are not within `minimum` and `maximum` of hundredweight.toml. `reasons` has a line each."""

    hint = "train a better one, or say why it is to be released with --force REASON"

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("the release is worse than hundredweight.toml allows: " + "; ".join(reasons))
        self.reasons = tuple(reasons)


def require_weights(workspace: Workspace, commit: str, weights: Sequence[Weights], patterns: Sequence[str]) -> None:
    """Raises `NoWeights`, `WeightsMissing`."""
    in_git = weights_in_git(workspace.git, commit, patterns)
    if in_git:
        raise NoWeights(
            f"{_few(in_git)} stand in git itself, not in Git LFS",
            hint="run 'cwt init', then 'git add --renormalize .', and commit",
        )
    if not weights:
        named = f" that {_few(patterns)} name" if patterns else ""
        raise NoWeights(
            f"the commit {commit[:12]} has no weights{named}",
            hint="commit them, or name them as 'weights' below [model] in hundredweight.toml",
        )
    missing = [each for each in weights if not workspace.store.has(Oid.parse(each.oid), each.size)]
    lost = _not_on_server(workspace, missing) if missing else set()
    paths = [each.path for each in missing if each.oid in lost]
    if paths:
        raise WeightsMissing(paths)


def _not_on_server(workspace: Workspace, weights: Sequence[Weights]) -> set[str]:
    """Of objects that are not here those that the server does not have either; all where nobody answers."""
    lost = {each.oid for each in weights}
    asked = [Wanted(Oid.parse(each.oid), each.size) for each in weights]
    try:
        git_dir = workspace.repository.git_dir
        with open_server(workspace.config, workspace.git, workspace.variables, git_dir=git_dir) as server:
            for start in range(0, len(asked), BATCH):
                answer = server.batch(DOWNLOAD, asked[start : start + BATCH], transfers=(BASIC,))
                lost -= {each.oid for each in answer.objects if each.error is None and DOWNLOAD in each.actions}
    except CwtError as error:
        trace(f"no word from the server: {error}")
    return lost


def require_committed(workspace: Workspace) -> None:
    """That tracked files are as HEAD has them. Raises `NotCommitted`."""
    if workspace.repository.bare:
        return
    changed = workspace.git.fields("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=no")
    if changed:
        raise NotCommitted([entry[3:] for entry in changed])


def worse(metrics: Mapping[str, Value], minimum: Mapping[str, float], maximum: Mapping[str, float]) -> tuple[str, ...]:
    """How metrics break their bounds, one line each; a bound for what was not measured is broken too."""
    found = []
    for bounds, word, breaks in ((minimum, "less", lt), (maximum, "more", gt)):
        for name, bound in bounds.items():
            value = metrics.get(name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                found.append(f"{name} is not known, and must not be {word} than {bound:g}")
            elif breaks(value, bound) or value != value:  # noqa: PLR0124 - nan is within no bounds
                found.append(f"{name} is {value:g}, {word} than {bound:g}")
    return tuple(found)


def _few(names: Iterable[str]) -> str:
    listed = [f"'{name}'" for name in names]
    return ", ".join(listed[:_SHOWN]) + (f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
