"""Which experiment is meant by what a user writes: an id or a part of one, a name, a release, a branch or any commit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.lineage import message, releases
from hundredweight.lineage.listing import listing, whole
from hundredweight.lineage.record import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.run import Git
    from hundredweight.lineage.experiments import Experiment
    from hundredweight.lineage.listing import Listing, Row

SHORTEST = 4
"""Characters that a part of an id must have."""
_TOLD = 5


class NoSuchExperiment(UsageError):
    """Nothing that is called so is an experiment. `name` is what was asked for."""

    hint = "run 'cwt exp list' for the experiments there are, or 'cwt exp pull' to get those of the remote"

    def __init__(self, name: str, reason: str = "") -> None:
        super().__init__(f"no experiment is called '{name}'" + (f": {reason}" if reason else ""))
        self.name = name


class AmbiguousName(UsageError):
    """A part of an id that several experiments have. `name` is what was asked for, `ids` whose part it is."""

    def __init__(self, name: str, ids: Sequence[str]) -> None:
        listed = ", ".join(ids[:_TOLD]) + (f" and {len(ids) - _TOLD} more" if len(ids) > _TOLD else "")
        super().__init__(f"'{name}' is a part of the ids of {len(ids)} experiments", hint=f"name one of them: {listed}")
        self.name = name
        self.ids = tuple(ids)


def rows_of(workspace: Workspace) -> Listing:
    """All experiments of a clone in short."""
    return listing(workspace.git, os.path.join(workspace.repository.common_dir, "hundredweight"))


class Names:
    """Finds experiments by names. `notes` tells, for the user, what was chosen where several had a name."""

    def __init__(self, git: Git, rows: Sequence[Row]) -> None:
        self._git = git
        self._rows = rows
        self._by_id = {row.id: row for row in rows}
        self.notes: list[str] = []

    def rows(self, names: Sequence[str]) -> list[Row]:
        """Raises `NoSuchExperiment`, `AmbiguousName`, `AmbiguousRelease`, `GitError`."""
        return [self.row(name) for name in names]

    def experiments(self, names: Sequence[str]) -> list[Experiment]:
        """The same with all that is known of them. Raises `RecordInvalid` besides."""
        return whole(self._git, self.rows(names))

    def row(self, name: str) -> Row:
        """One experiment, as `rows`."""
        return self._by_id.get(name) or self._called(name) or self._by_part(name) or self._elsewhere(name)

    def _called(self, name: str) -> Row | None:
        called = sorted((row for row in self._rows if row.name == name), key=lambda row: row.started or row.id)
        if len(called) > 1:
            self.notes.append(f"{len(called)} experiments are called '{name}'; taking the newest, {called[-1].id}")
        return called[-1] if called else None

    def _by_part(self, name: str) -> Row | None:
        """By the first or the last characters of an id; of ids that are commits by the first alone."""
        if len(name) < SHORTEST:
            return None
        found = [row for row in self._rows if row.id.startswith(name) or (len(row.id) < 40 and row.id.endswith(name))]
        if len(found) > 1:
            raise AmbiguousName(name, [row.id for row in found])
        return found[0] if found else None

    def _elsewhere(self, name: str) -> Row:
        release = releases.resolve(self._git, name)
        if release is not None:
            identity = release.facts.experiment
            if identity in self._by_id:
                return self._by_id[identity]
            found = self._recorded(release.commit)
            if found is None:
                raise NoSuchExperiment(name, "that release names no experiment of this repository")
            return found
        resolved = self._git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if resolved.code:
            raise NoSuchExperiment(name)
        found = self._recorded(resolved.out.decode().strip())
        if found is None:
            raise NoSuchExperiment(name, "that commit records none")
        return found

    def _recorded(self, commit: str) -> Row | None:
        """What a commit's message names, or whose record it brought (as a squash merge does): the newest of several."""
        if commit in self._by_id:
            return self._by_id[commit]
        said = message.read(os.fsdecode(self._git.output("log", "-1", "--format=%B", commit)))
        if said is not None and said.experiment in self._by_id:
            return self._by_id[said.experiment]
        how = ("-r", "--root", "-m", "--first-parent", "--no-commit-id", "--name-only", "--diff-filter=A", "-z")
        added = self._git.fields("diff-tree", *how, commit, "--", FOLDER)
        ids = sorted(os.path.basename(path).removesuffix(".json") for path in added if path.endswith(".json"))
        known = [self._by_id[identity] for identity in ids if identity in self._by_id]
        if len(known) > 1:
            self.notes.append(
                f"commit {commit[:12]} brought {len(known)} experiments; taking the newest, {known[-1].id}"
            )
        return known[-1] if known else None


def find_experiments(workspace: Workspace, names: Sequence[str]) -> tuple[list[Experiment], list[str]]:
    """The experiments that names mean, and notes for the user. Raises as `Names.experiments`."""
    finder = Names(workspace.git, rows_of(workspace).rows)
    return finder.experiments(names), finder.notes
