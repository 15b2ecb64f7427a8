"""Which branch a clone checks out: a repository's HEAD points to a branch that exists, once there is one."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.git.run import Git

PREFERRED = ("refs/heads/main", "refs/heads/master")


def settle_head(git: Git) -> str:
    """Point HEAD to a branch where its own does not exist: to `main`, `master`, else the first by name. Gives the branch
    that it was moved to, empty where it stays. A repository is made before anybody knows what its first branch is called."""
    if git.ok("rev-parse", "--verify", "--quiet", "HEAD"):
        return ""
    branches = git.text("for-each-ref", "--format=%(refname)", "refs/heads/").splitlines()
    chosen = next((name for name in PREFERRED if name in branches), branches[0] if branches else "")
    if chosen:
        git.output("symbolic-ref", "HEAD", chosen)
    return chosen
