"""Refs, remotes, stashes and work trees: what names commits, and which remote is meant when nobody says."""

from __future__ import annotations

import os

from hundredweight.base.errors import CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.git.config import Config
    from hundredweight.git.run import Git

HEADS = "refs/heads/"
TAGS = "refs/tags/"
REMOTES = "refs/remotes/"
DEFAULT_REMOTE = "origin"


class UnknownRef(CwtError):
    """git resolves no commit or object by that name."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(f'Git can\'t resolve ref: "{name}"', hint="run 'git show-ref' for the names there are")
        self.name = name


class InvalidRemote(CwtError):
    """Neither a configured remote nor a URL."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        super().__init__(f"invalid remote name '{name}'", hint="run 'git remote' for the names there are")
        self.name = name


class Ref:
    """`full_name` as in refs/heads/main, HEAD (detached) or a bare object name; `name` without its refs/... prefix; `commit`
    the object it names (of an annotated tag, the tag object)."""

    __slots__ = ("commit", "full_name", "name")

    def __init__(self, name: str, full_name: str, commit: str) -> None:
        self.name = name
        self.full_name = full_name
        self.commit = commit

    @classmethod
    def of(cls, full_name: str, commit: str) -> Ref:
        for prefix in (HEADS, TAGS, REMOTES):
            if full_name.startswith(prefix):
                return cls(full_name[len(prefix) :], full_name, commit)
        return cls(full_name, full_name, commit)

    @property
    def is_branch(self) -> bool:
        return self.full_name.startswith(HEADS)

    @property
    def is_tag(self) -> bool:
        return self.full_name.startswith(TAGS)

    @property
    def is_remote_branch(self) -> bool:
        return self.full_name.startswith(REMOTES)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and (self.full_name, self.commit) == (other.full_name, other.commit)

    def __hash__(self) -> int:
        return hash((self.full_name, self.commit))

    def __repr__(self) -> str:
        return f"Ref({self.full_name} {self.commit[:12]})"


class Worktree:
    """One of the repository's work trees: its folder, what its HEAD names (`commit` empty before the first commit), and
    whether its folder is gone (`prunable`)."""

    __slots__ = ("commit", "folder", "full_name", "prunable")

    def __init__(self, folder: str, commit: str, full_name: str, prunable: bool) -> None:
        self.folder = folder
        self.commit = commit
        self.full_name = full_name
        self.prunable = prunable


def resolve(git: Git, name: str) -> Ref:
    """Any name git understands; HEAD on a branch gives the branch. Raises `UnknownRef`."""
    result = git.run("rev-parse", name, "--symbolic-full-name", name)
    lines = os.fsdecode(result.out).splitlines()
    if result.code or not lines:
        raise UnknownRef(name)
    return Ref.of(lines[1] if len(lines) > 1 else lines[0], lines[0])


def current(git: Git) -> Ref | None:
    """The branch that is checked out, or HEAD itself when detached; None before the first commit."""
    try:
        return resolve(git, "HEAD")
    except UnknownRef:
        return None


def current_branch(git: Git) -> str:
    """The checked-out branch's short name, also before its first commit; empty when detached."""
    result = git.run("symbolic-ref", "--quiet", "HEAD")
    return os.fsdecode(result.out).strip().removeprefix(HEADS) if result.code == 0 else ""


def all_refs(git: Git, *prefixes: str) -> list[Ref]:
    """Every ref (below the prefixes), by name. Symbolic ones (refs/remotes/origin/HEAD) are left out."""
    out = os.fsdecode(git.output("for-each-ref", "--format=%(objectname)%00%(refname)%00%(symref)", *prefixes))
    refs = []
    for line in out.splitlines():
        commit, full_name, symbolic = line.split("\0")
        if not symbolic:
            refs.append(Ref.of(full_name, commit))
    return refs


def local_refs(git: Git) -> list[Ref]:
    """Branches and tags."""
    return all_refs(git, HEADS, TAGS)


def tracked_refs(git: Git, remote: str) -> list[Ref]:
    """What is known here of the remote's branches, without asking it. Names keep the remote: `origin/main`. Its HEAD is none,
    whatever it leads to."""
    return [ref for ref in all_refs(git, f"{REMOTES}{remote}/") if ref.name != f"{remote}/HEAD"]


def refs_at_remote(git: Git, remote: str, *, tags: bool = False) -> list[Ref]:
    """The remote's branches (and tags), asked from it. Raises `GitError`."""
    out = git.text("ls-remote", "-q", "--heads", *(("--tags",) if tags else ()), remote)
    refs = []
    for line in out.splitlines():
        commit, _, full_name = line.partition("\t")
        refs.append(Ref.of(full_name, commit))
    return refs


def remotes(config: Config) -> list[str]:
    """Remotes that have a URL, in order of configuration."""
    return config.subsections("remote", "url")


def default_remote(config: Config, branch: str) -> str:
    """Where to fetch from: the branch's remote, remote.lfsdefault, the only remote there is, origin."""
    tracked = config.get(f"branch.{branch}.remote") if branch else ""
    if tracked or config.get("remote.lfsdefault"):
        return tracked or config.get("remote.lfsdefault")
    known = remotes(config)
    return known[0] if len(known) == 1 else DEFAULT_REMOTE


def default_push_remote(config: Config, branch: str) -> str:
    """Where to push to: the branch's pushRemote, remote.lfspushdefault, remote.pushDefault, else the default remote."""
    chosen = config.get(f"branch.{branch}.pushremote") if branch else ""
    return (
        chosen
        or config.get("remote.lfspushdefault")
        or config.get("remote.pushdefault")
        or default_remote(config, branch)
    )


def check_remote(config: Config, name: str) -> None:
    """Raises `InvalidRemote` unless `name` is a configured remote, or a URL that git could mean."""
    if name in remotes(config):
        return
    scheme, separator, _ = name.partition("://")
    if separator:
        if scheme not in ("ssh", "http", "https", "git", "file"):
            raise InvalidRemote(name)
    elif ":" not in name:
        raise InvalidRemote(name)


def tracking_name(config: Config, branch: str) -> str:
    """The full name that `branch` follows on its remote (refs/heads/...); its own name when none is configured."""
    return config.get(f"branch.{branch}.merge") or HEADS + branch


def push_target(config: Config, remote: str, ref: Ref) -> str:
    """The full name on `remote` that a push of `ref` updates, by push.default as git-lfs reads it."""
    mode = config.get("push.default", "simple").lower()
    central = mode in ("upstream", "tracking") or (
        mode == "simple" and config.get(f"branch.{ref.name}.remote") == remote
    )
    return tracking_name(config, ref.name) if central and ref.is_branch else ref.full_name


def upstream_ref(config: Config, branch: str) -> str:
    """The remote-tracking ref of `branch` (refs/remotes/REMOTE/NAME); empty when it has no remote."""
    remote = config.get(f"branch.{branch}.remote")
    return f"{REMOTES}{remote}/{tracking_name(config, branch).removeprefix(HEADS)}" if remote else ""


def remote_holding(git: Git, treeish: str, known: Iterable[str]) -> str:
    """The first remote with a known branch that contains the commit `treeish` (empty: HEAD); empty when none has.

    A remote whose name has a slash makes the answer ambiguous: then, as in git-lfs, none is given.
    """
    names = list(known)
    if any("/" in name for name in names):
        return ""
    result = git.run("for-each-ref", "--format=%(refname)", "--contains", treeish or "HEAD", REMOTES)
    for line in os.fsdecode(result.out).splitlines() if result.code == 0 else ():
        remote = line.removeprefix(REMOTES).partition("/")[0]
        if remote in names:
            return remote
    return ""


def recent_refs(git: Git, since: float, *, remote_branches: bool = True, remote: str = "") -> list[Ref]:
    """Refs with a commit date at or after `since` (seconds), newest first; of remote branches only `remote`'s when given."""
    out = git.text(
        "for-each-ref", "--sort=-committerdate", "--format=%(objectname) %(committerdate:unix) %(refname)", "refs"
    )
    refs = []
    for line in out.splitlines():
        commit, stamp, full_name = line.split(" ", 2)
        if not stamp:
            continue
        if float(stamp) < since:
            break
        ref = Ref.of(full_name, commit)
        if ref.is_remote_branch and (not remote_branches or (remote and not ref.name.startswith(remote + "/"))):
            continue
        refs.append(ref)
    return refs


def commit_time(git: Git, name: str) -> float:
    """The committer's date in seconds since 1970. Raises `GitError`."""
    return float(git.text("rev-list", "--max-count=1", "--timestamp", name, "--").split()[0])


def stashes(git: Git) -> list[str]:
    """The commits of all stash entries, newest first."""
    result = git.run("rev-list", "--walk-reflogs", "refs/stash", "--")
    return result.out.decode().split() if result.code == 0 else []


def autostashes(git: Git) -> list[str]:
    """Commits that a rebase or merge under way in git's work tree will apply at its end; no ref names them."""
    names = ("rebase-merge/autostash", "rebase-apply/autostash", "MERGE_AUTOSTASH")
    paths = git.text("rev-parse", *(part for name in names for part in ("--git-path", name))).splitlines()
    commits = []
    for path in paths:
        try:
            with open(os.path.join(git.folder, path), encoding="ascii") as file:
                commits.append(file.read().strip())
        except FileNotFoundError:
            continue
    return commits


def worktrees(git: Git) -> list[Worktree]:
    """Every work tree but bare ones, the main one first. Raises `GitError`."""
    listed = git.run("worktree", "list", "--porcelain", "-z")
    # Git before 2.36 has no -z; a folder with a line end in its name is then cut there.
    records = listed.out if listed.code == 0 else git.output("worktree", "list", "--porcelain").replace(b"\n", b"\0")
    found = []
    for record in os.fsdecode(records).split("\0\0"):
        facts = dict(line.partition(" ")[::2] for line in record.split("\0") if line)
        if "worktree" in facts and "bare" not in facts:
            commit = facts.get("HEAD", "")
            full_name = facts.get("branch", "HEAD")
            found.append(
                Worktree(facts["worktree"], commit if commit.strip("0") else "", full_name, "prunable" in facts)
            )
    return found
