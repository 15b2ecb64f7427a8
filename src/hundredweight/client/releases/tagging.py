"""Writing tags of releases and stages. git itself makes them: it signs where it is configured to, and refuses a name
that is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.client.releases.naming import ReleaseExists

if TYPE_CHECKING:
    from hundredweight.git.run import Git, Result


class TagFailed(CwtError):
    """git did not make the tag, mostly because it cannot sign or does not know who is tagging. Nothing was done."""

    hint = "see what git says; 'git config user.name', 'user.email' and 'user.signingKey' are what it needs"

    def __init__(self, name: str, said: str) -> None:
        super().__init__(f"git cannot make the tag '{name}': {said}")
        self.name = name
        self.said = said


def make_tag(git: Git, name: str, commit: str, message: str, *, sign: bool = False, seconds: int = 0) -> str:
    """An annotated tag; gives the tag object's id. `sign`: whatever the configuration says. `seconds` is its time, by default
    now. Raises `ReleaseExists`, `TagFailed`."""
    runner = git.with_env(GIT_COMMITTER_DATE=f"{seconds} +0000") if seconds else git
    # Without --annotate: then tag.forceSignAnnotated counts. Verbatim: lines of notes that begin with '#' are headings.
    made = runner.run(
        "tag",
        *(("--sign",) if sign else ()),
        "--cleanup=verbatim",
        "-F",
        "-",
        "--",
        name,
        commit,
        stdin=message.encode(),
    )
    if made.code:
        if git.ok("show-ref", "--verify", "--quiet", f"refs/tags/{name}"):
            raise ReleaseExists(name)
        raise TagFailed(name, _said(made))
    tag_id = git.text("rev-parse", "--verify", f"refs/tags/{name}")
    # Some versions of git make an unsigned tag where ssh-keygen fails, and end with 0.
    if (sign or _signs(git)) and not git.output(
        "for-each-ref", "--format=%(contents:signature)", f"refs/tags/{name}"
    ).strip():
        git.output("update-ref", "-d", f"refs/tags/{name}", tag_id)
        raise TagFailed(name, _said(made))
    return tag_id


def _signs(git: Git) -> bool:
    """Whether git is configured to sign such tags."""
    asked = (git.run("config", "--type=bool", "--get", f"tag.{key}") for key in ("gpgSign", "forceSignAnnotated"))
    return any(answer.out.strip() == b"true" for answer in asked)


def _said(made: Result) -> str:
    said = [line for line in made.err.decode("utf-8", "replace").splitlines() if line.strip()]
    return said[0].removeprefix("fatal: ").removeprefix("error: ") if said else f"exit code {made.code}"
