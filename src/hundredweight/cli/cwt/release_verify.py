"""`cwt release verify`: check a release's signature with a key."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.cli.cwt.release_show import NAME_HELP
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.client.releases.assign import find_release
from hundredweight.client.releases.signing import verify
from hundredweight.lineage import releases

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment

DESCRIPTION = (
    "Check that a key signed a release, and that the release's files are those that were signed: by the ids of its "
    "objects, or with --folder byte by byte in a folder that holds it. Signatures of the model-signing package are "
    "read as well. Of the signature of the tag itself 'git verify-tag' tells."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release verify", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("name", metavar="RELEASE", help=NAME_HELP)
    made.add_argument("--key", required=True, metavar="FILE", help="the public key, in PEM form")
    made.add_argument(
        "--signature", metavar="FILE", help="check this signature; by default the one that the repository keeps"
    )
    made.add_argument(
        "--folder", default="", metavar="DIR", help="check the files in this folder instead of the release's own"
    )
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    release = find_release(releases.read(workspace.git), options.name)
    found = verify(workspace.git, release, options.key, _given(options.signature), options.folder)
    if options.json:
        told = {
            "release": release.name,
            "verified": True,
            "signature": found.where,
            "key": found.hint,
            "files": found.files,
        }
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        what = f"{options.folder} is {release.name}" if options.folder else release.name
        sys.stdout.write(f"{what}: signed by {found.hint[:16]}, {found.files} files as signed\n")
    return 0


def _given(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"cannot read the signature '{path}': {error.strerror or error}") from error
