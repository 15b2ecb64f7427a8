"""`cwt init`: makes a repository ready for weights: LFS, attributes of the weight formats, diff and merge drivers, packs,
experiments on fetch, and `hundredweight.toml`.

Plan, then execute: `plan_init` lists the steps that are still to do, so a second run finds none. What somebody set otherwise
is kept, and told.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.base.files import write_file
from hundredweight.client import hook_scripts, init_lineage
from hundredweight.client.ci.init import Host, State, plan_ci, write_ci
from hundredweight.client.history_view import driver_config as diff_config
from hundredweight.client.install import FilterConflict, Scope, install_filter, plan_filter
from hundredweight.client.merge_rules import driver_config as merge_config
from hundredweight.client.repository_format import ensure
from hundredweight.client.workspace import Workspace, open_workspace
from hundredweight.formats.names import is_weight_file, lfs_patterns
from hundredweight.git import attributes, config, index
from hundredweight.git.objects import ObjectReader
from hundredweight.git.repository import NotARepository, discover
from hundredweight.lineage.settings import FILE as SETTINGS
from hundredweight.protocol.blocks import TRANSFER
from hundredweight.protocol.pointer import CUTOFF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hundredweight.git.run import Git

PACKS = "hundredweight.packs"
AGENT = TRANSFER
"""Our transfer agent's name in stock git-lfs, which offers custom transfers by their names: the hub must know it."""
_LOCAL = Scope(("--local",))
_EVERYTHING = ("*", "**")
_NO_USER_FILES = ("-c", "core.attributesFile=")


class BareRepository(UsageError):
    """The repository is bare: there is no place for `.gitattributes`."""

    hint = "run 'cwt init' in a clone of it"

    def __init__(self) -> None:
        super().__init__("a bare repository cannot be made ready for weights")


@dataclass(frozen=True)
class InitOptions:
    """`packs`: True and False set `hundredweight.packs`; None turns it on where nothing is set. `agent`: configure our
    transfer agent for stock git-lfs. `ci`: write the workflow files of that host."""

    packs: bool | None = None
    agent: bool = False
    ci: Host | None = None


@dataclass(frozen=True)
class Step:
    """Something to set up; `subject` says what, for people."""

    subject: str
    run: Callable[[], object]


@dataclass
class InitPlan:
    """`steps` in their order. `kept` are things that somebody else set, and `blocked` those of them without which LFS does not
    work: texts for people. `in_git` are weight files that git itself holds, by its index: they wait for LFS."""

    steps: list[Step] = field(default_factory=list)
    in_git: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return not self.steps and not self.blocked


def find_repository(git: Git, folder: str) -> bool:
    """Whether `cwt init` has a repository to work on: around the current folder, or at `folder` where one is named."""
    try:
        found = discover(git.at(folder) if folder else git)
    except NotARepository:
        return False
    return not folder or os.path.realpath(folder) in (
        os.path.realpath(found.work_tree or found.git_dir),
        os.path.realpath(found.git_dir),
    )


def make_repository(git: Git, folder: str) -> None:
    """As `git init` does. Raises `GitError`."""
    git.output("init", "--quiet", "--", folder or ".")


def plan_init(workspace: Workspace, options: InitOptions) -> InitPlan:
    """What is still to do. Raises `BareRepository`."""
    if workspace.repository.bare:
        raise BareRepository
    plan = InitPlan()
    _plan_filter(workspace, plan)
    _plan_hooks(workspace, plan)
    _plan_attributes(workspace, plan)
    _plan_drivers(workspace, plan)
    _plan_packs(workspace, plan, options.packs)
    _plan_lineage(workspace, plan)
    if options.agent:
        _plan_config(workspace, plan, "transfer agent for stock git-lfs", agent_config())
    if options.ci is not None:
        _plan_ci(workspace, plan, options.ci)
    plan.in_git = _weights_in_git(workspace)
    return plan


def execute(plan: InitPlan, report: Callable[[Step], None]) -> None:
    """Carry out the steps; `report` hears of each that is done. Raises `WriteError` and `GitError`: those before it are done."""
    for step in plan.steps:
        step.run()
        report(step)


def add_drivers(workspace: Workspace) -> Workspace:
    """For a fresh clone: drivers and packs, where its files go through LFS. Gives the clone as it is configured then."""
    if workspace.repository.bare:
        return workspace
    known = attributes.work_tree_patterns(workspace.repository, workspace.git_config, workspace.variables)
    if not any(pattern.is_tracked for pattern in known):
        return workspace
    plan = InitPlan()
    _plan_drivers(workspace, plan)
    _plan_packs(workspace, plan, None)
    for step in plan.steps:
        step.run()
    return Workspace(workspace.repository, config.load(workspace.git), workspace.variables)


def agent_config() -> list[tuple[str, str]]:
    """Keys by which stock git-lfs runs our agent: one process, which has workers of its own."""
    section = f"lfs.customtransfer.{AGENT}"
    return [(f"{section}.path", "cwt"), (f"{section}.args", "transfer-agent"), (f"{section}.concurrent", "false")]


def opened(git: Git, folder: str, variables: Mapping[str, str]) -> Workspace:
    """The workspace that `find_repository` found, or `make_repository` made."""
    return open_workspace(git.at(folder) if folder else git, variables)


def _plan_filter(workspace: Workspace, plan: InitPlan) -> None:
    try:
        filters = plan_filter(workspace.git, _LOCAL)
    except FilterConflict as conflict:
        plan.blocked.append(f"{conflict.key} is '{conflict.got}'; 'git lfs install --local --force' replaces it")
        return
    if filters.changes:

        def install() -> None:
            install_filter(workspace.git, _LOCAL, filters)
            ensure(workspace)

        plan.steps.append(Step("the LFS filter, in this repository's configuration", install))


def _plan_hooks(workspace: Workspace, plan: InitPlan) -> None:
    missing, foreign = hook_scripts.survey(workspace)
    for hook in foreign:
        plan.blocked.append(f"the hook {hook} is somebody else's; 'git lfs update --manual' says what to add to it")
    if missing:

        def install() -> None:
            try:
                hook_scripts.install_hooks(workspace)
            except hook_scripts.HookExists:
                # Another one than those that are missing: it runs ours, or was told of.
                return

        plan.steps.append(Step(f"the hooks {', '.join(missing)}", install))


def _plan_attributes(workspace: Workspace, plan: InitPlan) -> None:
    patterns = lfs_patterns()
    samples = {pattern.replace("*", "x"): pattern for pattern in patterns}
    # What stands in the user's own file holds for nobody else.
    git = workspace.git.with_options(*_NO_USER_FILES).with_env(GIT_ATTR_NOSYSTEM="1")
    missing = []
    for path, _, value in attributes.check(git, samples, attributes.FILTER):
        if value == "unspecified":
            missing.append(samples[path])
        elif value != "lfs":
            said = "-filter" if value == "unset" else f"filter={value}"
            plan.kept.append(f"{samples[path]} has {said} in {attributes.FILE_NAME}")
    if missing:
        path = os.path.join(workspace.repository.work_tree, attributes.FILE_NAME)
        few = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        plan.steps.append(
            Step(f"{attributes.FILE_NAME}: {few} go through LFS", lambda: _write_attributes(path, missing))
        )


def _write_attributes(path: str, patterns: Iterable[str]) -> None:
    """Behind lines for all files, before every other: what the file says of some paths stays in force."""
    try:
        with open(path, "rb") as file:
            before = file.read()
    except FileNotFoundError:
        before = b""
    ending = attributes.line_ending(before) or "\n"
    lines = before.splitlines(keepends=True)
    general = [number for number, line in enumerate(lines, 1) if _is_general(line)]
    place = general[-1] if general else 0
    if place and not lines[place - 1].endswith(b"\n"):
        lines[place - 1] += ending.encode()
    added = [f"{pattern} {attributes.TRACKED_BY_LFS}{ending}".encode() for pattern in patterns]
    write_file(os.path.realpath(path), b"".join([*lines[:place], *added, *lines[place:]]))


def _is_general(line: bytes) -> bool:
    return any(found.pattern in _EVERYTHING and not found.is_macro for found in attributes.parse(line))


def _weights_in_git(workspace: Workspace) -> list[str]:
    """Weight files of the index that are no pointers, but for those that the attributes keep out of LFS."""
    blobs = {path: entry.blob for path, entry in index.entries(workspace.git).items() if is_weight_file(path)}
    with ObjectReader(workspace.git) as objects:
        sizes = zip(blobs, objects.infos(blobs.values()), strict=True)
        found = [path for path, info in sizes if info is not None and info.size >= CUTOFF]
    verdicts = {path: value for path, _, value in attributes.check(workspace.git, found, attributes.FILTER)}
    return [path for path in found if verdicts.get(path) in ("lfs", "unspecified")]


def _plan_drivers(workspace: Workspace, plan: InitPlan) -> None:
    _plan_config(workspace, plan, "diff drivers: git diff, show and log tell tensors", diff_config())
    _plan_config(workspace, plan, "merge driver: git merges weights by tensors", merge_config())


def _plan_ci(workspace: Workspace, plan: InitPlan, host: Host) -> None:
    top = workspace.repository.work_tree
    wanted = plan_ci(top, host)
    if wanted.missing:
        paths = ", ".join(file.path for file in wanted.missing)
        plan.steps.append(Step(f"workflows: {paths}", lambda: write_ci(top, wanted)))
    plan.kept += [f"{file.path} is changed" for file in wanted.files if file.state is State.CHANGED]
    plan.kept += [f"what is yours; {text}" for text in wanted.advice]


def _plan_packs(workspace: Workspace, plan: InitPlan, wanted: bool | None) -> None:
    found = _local(workspace)
    if wanted is None and PACKS in found:
        return
    value = "false" if wanted is False else "true"
    if found.get(PACKS) != value:
        subject = f"packs {'off' if wanted is False else 'on'} ({PACKS})"
        plan.steps.append(Step(subject, lambda: _set(workspace, [(PACKS, value)])))


def _plan_lineage(workspace: Workspace, plan: InitPlan) -> None:
    git = workspace.git
    for remote, spec in init_lineage.missing_refspecs(workspace):
        subject = f"experiments come with every fetch from {remote}"
        plan.steps.append(
            Step(subject, partial(git.output, "config", "--local", "--add", f"remote.{remote}.fetch", spec))
        )
    if not init_lineage.has_settings(workspace):
        path = os.path.join(workspace.repository.work_tree, SETTINGS)

        def write() -> None:
            write_file(path, init_lineage.settings_text(workspace).encode())

        plan.steps.append(Step(f"{SETTINGS}, guessed from what is here", write))


def _plan_config(workspace: Workspace, plan: InitPlan, subject: str, values: Iterable[tuple[str, str]]) -> None:
    """Keys that are missing, or have a former value of ours, are set; others are kept."""
    found = _local(workspace)
    changes = []
    for key, value in values:
        before = found.get(key.lower(), "")
        if not before or (before != value and before.split()[0].rpartition("/")[2] == "cwt"):
            changes.append((key, value))
        elif before != value:
            plan.kept.append(f"{key} is '{before}'; 'git config --unset {key}' makes way for ours")
    if changes:
        plan.steps.append(Step(subject, lambda: _set(workspace, changes)))


def _set(workspace: Workspace, values: Iterable[tuple[str, str]]) -> None:
    for key, value in values:
        workspace.git.output("config", "--local", "--replace-all", key, value)


def _local(workspace: Workspace) -> dict[str, str]:
    """This repository's own configuration; of several values the last."""
    fields = workspace.git.fields("config", "--local", "--includes", "--list", "-z")
    return dict(item.partition("\n")[::2] for item in fields)
