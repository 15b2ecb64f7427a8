"""Pushing a release: first the objects of its commits, then its tag and the branch that took the card, both or neither."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import RemoteError
from hundredweight.base.trace import trace
from hundredweight.cli.lfs.push import push_updates
from hundredweight.cli.lfs.transfers import checked_remote
from hundredweight.client.push import Update
from hundredweight.git import refs

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace


class PushFailed(RemoteError):
    """The release is made here, and the remote did not take it. `command` sends it again."""

    def __init__(self, what: str, command: str) -> None:
        hint = f"run '{command}' when the remote answers; where it has a tag of that name, delete yours with 'git tag -d' first"
        super().__init__(f"{what} is made here, but not pushed", hint=hint)


def add_option(made: argparse.ArgumentParser) -> None:
    """`--push [REMOTE]`."""
    made.add_argument(
        "--push",
        nargs="?",
        const="",
        metavar="REMOTE",
        help="then push it, with its objects; without REMOTE to where 'git push' goes",
    )


def bring_tags(workspace: Workspace, remote: str | None) -> None:
    """Before something is made that is to be pushed (`remote` is not None): what others tagged meanwhile. Where the remote does
    not answer, or does not exist yet, the push will tell."""
    if remote is None:
        return
    remote = remote or refs.default_push_remote(workspace.config, refs.current_branch(workspace.git))
    fetched = workspace.git.run("fetch", "--quiet", "--no-write-fetch-head", remote, "refs/tags/*:refs/tags/*")
    if fetched.code:
        trace(f"no tags from '{remote}': {fetched.err.decode('utf-8', 'replace').strip()}")


def push(workspace: Workspace, environment: Environment, remote: str, tags: Sequence[str], branch: str = "") -> None:
    """Send tags, and a branch besides. Raises `PushFailed`."""
    git, config = workspace.git, workspace.config
    remote = checked_remote(workspace, remote or refs.default_push_remote(config, refs.current_branch(git)))
    specs = [f"{refs.TAGS}{tag}" for tag in tags]
    if branch and branch != "HEAD":
        specs.append(f"{refs.HEADS}{branch}:{refs.tracking_name(config, branch)}")
    again = " ".join(["git push --atomic", remote, *(f"'{spec}'" for spec in specs)])
    updates = [Update(tag, git.text("rev-parse", f"{refs.TAGS}{tag}^{{commit}}"), refs.TAGS + tag) for tag in tags]
    if push_updates(workspace, environment, remote, updates):
        raise PushFailed(f"'{tags[0]}'", again)
    sys.stdout.flush()
    # The objects are there already: git's hook has nothing left to send.
    with git.with_env(GIT_LFS_SKIP_PUSH="1").popen("push", "--quiet", "--atomic", remote, *specs) as process:
        code = process.wait()
    if code:
        raise PushFailed(f"'{tags[0]}'", again)
    sys.stderr.write(f"pushed to {remote}\n")
