"""`cwt release sign`: sign all files of a release with a key, as OpenSSF Model Signing does."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.base.files import write_file
from hundredweight.cli.cwt.release_show import NAME_HELP
from hundredweight.cli.lfs.opening import open_clone
from hundredweight.cli.lfs.transfers import checked_remote
from hundredweight.cli.release_push import PushFailed
from hundredweight.client.releases.assign import find_release
from hundredweight.client.releases.signing import sign
from hundredweight.git import refs
from hundredweight.lineage import releases

if TYPE_CHECKING:
    from hundredweight.cli.env import Environment
    from hundredweight.client.workspace import Workspace

DESCRIPTION = (
    "Sign every file of a release with an elliptic-curve key, in the form of OpenSSF Model Signing (a Sigstore "
    "bundle), which 'model_signing verify key' checks too. No weights are needed here: their hashes are in the "
    "repository. The signature is kept in the repository under refs/signatures/; --output writes it as a file "
    "besides, to lie as model.sig in the folder of the release."
)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt release sign", description=DESCRIPTION, allow_abbrev=False)
    made.add_argument("name", metavar="RELEASE", help=NAME_HELP)
    made.add_argument(
        "--key", required=True, metavar="FILE", help="the private key: P-256, P-384 or P-521, in PEM form"
    )
    made.add_argument("--password-file", metavar="FILE", help="a file whose first line is the password of the key")
    made.add_argument(
        "--ignore", action="append", default=[], metavar="PATH", help="a file or folder not to sign; may be repeated"
    )
    made.add_argument("-o", "--output", metavar="FILE", help="write the signature here, too")
    made.add_argument("--push", nargs="?", const="", metavar="REMOTE", help="then push the signature")
    made.add_argument("--json", action="store_true", help="print what was signed as JSON")
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    workspace = open_clone(environment)
    release = find_release(releases.read(workspace.git), options.name)
    made = sign(workspace.git, release, options.key, _password(options.password_file), tuple(options.ignore))
    if options.output:
        write_file(options.output, made.data)
    if options.json:
        told = {"release": release.name, "ref": made.ref, "key": made.hint, "files": made.files}
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write(f"signed {release.name}: {made.files} files, kept as {made.ref}\n")
    if options.push is not None:
        _push(workspace, options.push, made.ref)
    return 0


def _push(workspace: Workspace, remote: str, ref: str) -> None:
    config = workspace.config
    remote = checked_remote(workspace, remote or refs.default_push_remote(config, refs.current_branch(workspace.git)))
    spec = f"+{ref}:{ref}"
    sys.stdout.flush()
    # A blob brings no objects of LFS.
    with workspace.git.with_env(GIT_LFS_SKIP_PUSH="1").popen("push", "--quiet", remote, spec) as process:
        code = process.wait()
    if code:
        raise PushFailed("the signature", f"git push {remote} '{spec}'")
    sys.stderr.write(f"pushed to {remote}\n")


def _password(path: str | None) -> bytes | None:
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            return file.readline().rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(f"cannot read the password in '{path}': {error.strerror or error}") from error
