"""The public copy of a deployment: an annotated tag `deployed/TARGET/N` in the source. The journal of the target is the truth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.base.trace import notice
from hundredweight.client.deploy.releases import git_words
from hundredweight.git.run import GitError
from hundredweight.lineage.releases import DEPLOYED

if TYPE_CHECKING:
    from hundredweight.client.deploy.journal import Deployment
    from hundredweight.client.deploy.store import VersionStore
    from hundredweight.git.run import Git


class BadTargetName(UsageError):
    """A target is called in tags by a name that git cannot use."""

    hint = "use letters, digits, '-', '_' and '/': '--tag production'"


def check_name(git: Git, target: str) -> None:
    """Raises `BadTargetName`."""
    if not git.ok("check-ref-format", f"refs/tags/{DEPLOYED}{target}/1"):
        raise BadTargetName(f"'{target}' cannot be part of a tag's name")


def publish(store: VersionStore, target: str, deployment: Deployment) -> str:
    """Make the tag in the source and give its name. Empty, with a word to the user, when the source refuses: the deployment
    stands."""
    name = f"{DEPLOYED}{target}/{deployment.number}"
    ref = f"refs/tags/{name}"
    try:
        store.git.output(
            "tag", "--annotate", "--force", "--file=-", name, deployment.what.commit, stdin=message(deployment)
        )
        store.git.output("push", "--quiet", "--no-verify", "origin", f"{ref}:{ref}")
    except GitError as error:
        notice(f"the tag '{name}' could not be made in '{store.source}': {git_words(error)}")
        return ""
    finally:
        store.git.run("update-ref", "-d", ref)
    return name


def message(deployment: Deployment) -> bytes:
    """A line for people, then the facts as JSON."""
    what = deployment.what
    verb = "Roll back to" if deployment.action == "rollback" else "Deploy"
    told = {
        "number": deployment.number,
        "action": deployment.action,
        "at": deployment.switched,
        "who": deployment.who,
        "host": deployment.host,
        "where": deployment.where,
        "why": deployment.why,
        "release": what.release,
        "ref": what.ref,
        "commit": what.commit,
    }
    why = f"{deployment.why}\n\n" if deployment.why else ""
    text = json.dumps(told, indent=1, ensure_ascii=False)
    return f"{verb} {what.name} on {deployment.host}\n\n{why}{text}\n".encode("utf-8", "surrogateescape")
