"""`cwt release diff`: what is behind two releases side by side, and their weights tensor by tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.client import diff
from hundredweight.client.releases.assign import NoSuchRelease
from hundredweight.client.releases.facts import facts_of, facts_of_release
from hundredweight.client.remote_recipes import learn
from hundredweight.client.weight_files import NotWeights
from hundredweight.lineage import releases
from hundredweight.lineage.block import Facts
from hundredweight.lineage.compare import Comparison, compare

if TYPE_CHECKING:
    from hundredweight.client.diff import ModelDiff
    from hundredweight.client.workspace import Workspace


@dataclass(frozen=True)
class Side:
    """A release, or another revision: its name, commit and facts."""

    name: str
    commit: str
    facts: Facts


@dataclass(frozen=True)
class ReleaseDiff:
    """`models` are those whose weights changed; `failed` those that cannot be compared, with the reason; `objects` are files of
    weights whose format is not read."""

    old: Side
    new: Side
    facts: Comparison
    models: tuple[ModelDiff, ...] = ()
    objects: tuple[str, ...] = ()
    failed: tuple[tuple[str, CwtError], ...] = ()


def compare_releases(workspace: Workspace, old: str, new: str, *, statistics: bool = True) -> ReleaseDiff:
    """`old` and `new` are releases or revisions. Which tensors changed is told by recipes, so that needs no weights here;
    `statistics` reads them where they are. Raises `NoSuchRelease`, `AmbiguousRelease`, `RecordInvalid`."""
    sides = [side_of(workspace, name) for name in (old, new)]
    paths = dict.fromkeys(each.path for side in sides for each in side.facts.weights)
    made = ReleaseDiff(sides[0], sides[1], compare([side.facts for side in sides]))
    if not paths or sides[0].commit == sides[1].commit:
        return made
    planned = diff.plan(
        workspace, [*(side.commit for side in sides), "--", *(f":(top,literal){path}" for path in paths)]
    )
    learn(workspace, [file.pointer for file in planned.pointers()])
    models, objects, failed = [], [], []
    hint = f"run 'cwt diff --fetch {sides[0].commit[:12]} {sides[1].commit[:12]}' to download it"
    for subject in planned.subjects:
        try:
            models.append(diff.compare_subject(workspace, planned, subject, hint=hint, statistics=statistics))
        except NotWeights:
            objects.append(subject.name)
        except CwtError as error:
            failed.append((subject.name, error))
    return replace(made, models=tuple(models), objects=tuple(objects), failed=tuple(failed))


def side_of(workspace: Workspace, name: str) -> Side:
    """What a name means: a release, else any revision. Raises `NoSuchRelease`, `AmbiguousRelease`."""
    release = releases.resolve(workspace.git, name)
    if release is not None:
        return Side(release.name, release.commit, facts_of_release(workspace, release))
    found = workspace.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    if found.code:
        raise NoSuchRelease(name)
    commit = found.out.decode().strip()
    return Side(name, commit, facts_of(workspace, commit))
