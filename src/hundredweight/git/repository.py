"""Where a repository keeps its things, found by one `git rev-parse`."""

from __future__ import annotations

import os

from hundredweight.base.errors import EXIT_NOT_A_REPOSITORY, CwtError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.git.run import Git


class NotARepository(CwtError):
    """The current folder belongs to no git repository."""

    exit_code = EXIT_NOT_A_REPOSITORY
    hint = "run this inside a git repository, or make one with 'git init'"


class Repository:
    """A found repository. All folders are absolute paths without a trailing slash.

    `git` runs where the command was started. `git_dir` is this work tree's own, `common_dir` the one that all
    work trees share. `work_tree` is empty in a bare repository. `prefix` is the current folder below the work
    tree, with a trailing slash, or empty. `object_format` is sha1 or sha256.
    """

    __slots__ = ("bare", "common_dir", "git", "git_dir", "object_format", "prefix", "work_tree")

    def __init__(
        self, git: Git, git_dir: str, common_dir: str, work_tree: str, prefix: str, object_format: str
    ) -> None:
        self.git = git
        self.git_dir = git_dir
        self.common_dir = common_dir
        self.work_tree = work_tree
        self.prefix = prefix
        self.object_format = object_format
        self.bare = not work_tree

    @property
    def root_git(self) -> Git:
        """git at the top of the work tree (in a bare repository, where it was started): paths are relative to it."""
        if not self.work_tree:
            return self.git
        git = self.git.at(self.work_tree, keep_repository=True)
        # Relative values would mean another place there.
        known = {"GIT_DIR": self.git_dir, "GIT_COMMON_DIR": self.common_dir, "GIT_WORK_TREE": self.work_tree}
        named = {name: path for name, path in known.items() if name in git.env}
        return git.with_env(**named) if named else git

    @property
    def null_id(self) -> str:
        return "0" * (64 if self.object_format == "sha256" else 40)


def at_top(git: Git, folder: str) -> Repository | None:
    """The repository whose work tree's top is `folder`, found without running git, as hooks can. None where it takes git to
    be sure: the environment names another place, or `.git` is no plain folder (linked work trees, submodules).

    A caller that then finds core.worktree, core.bare or extensions.objectFormat set must ask `discover`.
    """
    git_dir = os.path.join(folder, ".git")
    named = git.env.get("GIT_DIR", ".git")
    if named not in (".git", git_dir) or "GIT_WORK_TREE" in git.env or "GIT_COMMON_DIR" in git.env:
        return None
    if not os.path.isfile(os.path.join(git_dir, "HEAD")) or os.path.exists(os.path.join(git_dir, "commondir")):
        return None
    return Repository(git, git_dir, git_dir, folder, "", "sha1")


# git prints an option that it does not know as it stands: the border between answers, which may hold line ends themselves.
_NEXT = "--next-answer"


def discover(git: Git) -> Repository:
    """The repository that git sees from its folder and environment. Raises `NotARepository`."""
    result = git.run(
        "rev-parse",
        "--path-format=absolute",
        "--git-dir",
        _NEXT,
        "--git-common-dir",
        _NEXT,
        "--show-object-format",
        _NEXT,
        "--is-inside-work-tree",
        _NEXT,
        "--show-prefix",
        _NEXT,
        "--show-toplevel",
    )
    answers = os.fsdecode(result.out).split(f"\n{_NEXT}\n")
    if len(answers) < 6:
        said = result.err.decode("utf-8", "replace").strip()
        if "dubious ownership" in said:
            raise NotARepository(said.splitlines()[0].removeprefix("fatal: "), hint=said.splitlines()[-1].strip())
        error = NotARepository("not in a git repository")
        error.git_lfs_text = "Not in a Git repository."
        raise error
    # Outside of it a work tree is known only where GIT_WORK_TREE or core.worktree names it; commands then run at its top.
    git_dir, common_dir, object_format, inside, prefix, work_tree = answers
    work_tree = work_tree.removesuffix("\n")
    return Repository(git, git_dir, common_dir, work_tree, prefix if inside == "true" else "", object_format)
