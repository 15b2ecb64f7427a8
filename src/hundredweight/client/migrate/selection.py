"""Which commits a migration looks at, and which refs it moves.

By default the current branch without what any remote already has; else the branches given (`^NAME` excludes), the
refs of --include-ref and --exclude-ref, or every ref (--everything).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hundredweight.base.errors import EXIT_USAGE, CwtError
from hundredweight.git.run import GitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hundredweight.client.migrate.plan import Listener
    from hundredweight.git.config import Config
    from hundredweight.git.run import Git

_SPECIAL = ("refs/notes/", "refs/bisect/", "refs/replace/", "refs/stash")


class MigrateError(CwtError):
    """The migration was refused or could not be done; no ref was moved. The message is git-lfs's own text."""

    exit_code = EXIT_USAGE


def refuse_extensions(config: Config) -> None:
    """Raises `MigrateError` where content has to pass through a pointer extension on its way into LFS."""
    for section in config.subsections("lfs", "clean"):
        if section.startswith("extension."):
            name = section.removeprefix("extension.")
            raise MigrateError(
                f"content would have to pass through the extension '{name}', which migrate does not run",
                hint=f"run 'git config --unset lfs.{section}.clean' if history does not need it",
            )


@dataclass(frozen=True)
class Ref:
    """A ref by its full name, what it points to, and of which kind that is (commit, tag, tree, blob)."""

    name: str
    target: str
    kind: str

    @property
    def short(self) -> str:
        """The name without refs/heads/ or refs/tags/."""
        for prefix in ("refs/heads/", "refs/tags/"):
            if self.name.startswith(prefix):
                return self.name.removeprefix(prefix)
        return self.name


@dataclass(frozen=True)
class Selection:
    """What the command line asked for."""

    branches: Sequence[str] = ()
    include_refs: Sequence[str] = ()
    exclude_refs: Sequence[str] = ()
    everything: bool = False
    skip_fetch: bool = False


def select_commits(git: Git, selection: Selection, listener: Listener, *, bare: bool) -> list[str]:
    """The commits to look at, parents before children. Raises `MigrateError` when the options contradict each other or
    a ref does not resolve."""
    include, exclude = _choose(git, selection, bare=bare, fetching=listener.fetching)
    listener.sorting()
    if not include:
        return []
    revisions = "".join([*(f"{name}\n" for name in include), *(f"^{name}\n" for name in exclude)])
    arguments = ("rev-list", "--topo-order", "--reverse", "--ignore-missing", "--stdin")
    commits = git.output(*arguments, stdin=revisions.encode()).decode().split()
    listener.sorted(len(commits))
    return commits


def all_refs(git: Git) -> list[Ref]:
    """Every ref in order of name."""
    fields = git.text("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)").splitlines()
    return [Ref(name, target, kind) for kind, target, name in (line.split(" ", 2) for line in fields)]


def _choose(git: Git, selection: Selection, *, bare: bool, fetching: Callable[[], None]) -> tuple[list[str], list[str]]:
    explicit = bool(selection.include_refs or selection.exclude_refs)
    if selection.everything and selection.branches:
        raise MigrateError("Cannot use --everything with explicit reference arguments")
    if selection.everything and explicit:
        raise MigrateError("Cannot use --everything with --include-ref or --exclude-ref")
    if selection.everything:
        return [ref.target for ref in all_refs(git) if _holds_history(ref)], []
    include = [_resolve(git, name) for name in selection.branches if not name.startswith("^")]
    exclude = [_resolve(git, name[1:]) for name in selection.branches if name.startswith("^")]
    if explicit:
        include += [_resolve(git, name) for name in selection.include_refs]
        exclude += [_resolve(git, name) for name in selection.exclude_refs]
        return include, exclude
    if not selection.branches:
        include.append(_resolve(git, "HEAD"))
    if not bare:
        exclude += _known_to_remotes(git, skip_fetch=selection.skip_fetch, fetching=fetching)
    return include, exclude


def _holds_history(ref: Ref) -> bool:
    return ref.kind in ("commit", "tag") and not ref.name.startswith(_SPECIAL)


def _resolve(git: Git, name: str) -> str:
    result = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", name)
    if result.code:
        raise MigrateError(f'Git can\'t resolve ref: "{name}"')
    return result.out.decode().strip()


def _known_to_remotes(git: Git, *, skip_fetch: bool, fetching: Callable[[], None]) -> list[str]:
    """Ids that some remote has: its tracking refs, and unless `skip_fetch` its branches and tags as they are now."""
    known = [ref.target for ref in all_refs(git) if ref.name.startswith("refs/remotes/")]
    remotes = git.text("remote").splitlines()
    if skip_fetch or not remotes:
        return known
    fetching()
    try:
        git.output("fetch", *(["--multiple", "--", *remotes] if len(remotes) > 1 else remotes))
        for remote in remotes:
            listed = git.text("ls-remote", "--heads", "--tags", "--quiet", remote)
            known += [line.split("\t")[0] for line in listed.splitlines()]
    except GitError as error:
        raise MigrateError(
            f"could not fetch remote references: {error.stderr or error}",
            hint="use '--skip-fetch' to trust the remote references that are already here",
        ) from error
    return known + [ref.target for ref in all_refs(git) if ref.name.startswith("refs/remotes/")]
