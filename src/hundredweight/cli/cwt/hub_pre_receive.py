"""`cwt hub pre-receive`: git's hook inside the hub; not for people.

The hub starts git with the environment that this reads (`hub/smarthttp`); git gives the ref updates on stdin.
"""

from __future__ import annotations

import os
import sys

from hundredweight.base.errors import EXIT_FAILURE, CwtError, UsageError
from hundredweight.hub.receive.channel import DESCRIPTOR, MAX_BLOB, ChannelAuthority
from hundredweight.hub.receive.service import pre_receive

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hundredweight.cli.env import Environment


def run(args: list[str], environment: Environment) -> int:
    """Exit code 0 accepts the push. What is printed reaches the user as `remote:` lines."""
    if args:
        parser().parse_args(args)
    descriptor = environment.get(DESCRIPTOR)
    if not descriptor.isdigit():
        raise UsageError("'cwt hub pre-receive' is run by the hub only", hint="push to 'cwt hub serve' instead")
    lines = [os.fsdecode(line) for line in sys.stdin.buffer]
    try:
        authority = ChannelAuthority(int(descriptor))
        refusal = pre_receive(
            environment.cwd, lines, environment.variables, authority, int(environment.get(MAX_BLOB, "0"))
        )
        authority.close()
    except CwtError as error:
        refusal = f"error: push refused: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else "")
    sys.stderr.write(refusal)
    return EXIT_FAILURE if refusal else 0


def parser() -> argparse.ArgumentParser:
    import argparse

    return argparse.ArgumentParser(prog="cwt hub pre-receive", description="Git's hook inside the hub; not for people.")
