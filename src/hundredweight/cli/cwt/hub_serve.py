"""`cwt hub serve`: run a hub on a data folder until it is told to stop."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from hundredweight.cli.env import Environment


def run(args: list[str], environment: Environment) -> int:
    from hundredweight.hub.serve import serve
    from hundredweight.hub.settings import load

    given = vars(parser().parse_args(args))
    serve(load(environment.variables, **given), _announce)
    return 0


def parser() -> argparse.ArgumentParser:
    import argparse

    result = argparse.ArgumentParser(
        prog="cwt hub serve",
        description="Serve git repositories and LFS objects over HTTP. Everything is made on the first start, together with an "
        "admin token, which is shown once and kept in DIR/admin-token.",
        epilog="each option may be set as CWT_HUB_NAME in the environment too, such as CWT_HUB_PUBLIC_URL; docs/settings.md "
        "explains them",
    )
    option = result.add_argument
    option("--data", metavar="DIR", help="the hub's folder; made when missing")
    option("--host", help="address to listen on (127.0.0.1)")
    option("--port", help="port to listen on; 0 takes a free one (8417)")
    option("--public-url", metavar="URL", help="where clients reach the hub, when a proxy hides that")
    option("--max-blob", metavar="SIZE", help="refuse pushes of larger blobs outside LFS; 0: no bound (10M)")
    option("--max-object", metavar="SIZE", help="refuse larger LFS objects; 0: no bound (0)")
    option("--max-batch", metavar="N", help="objects in one LFS batch request (1000)")
    option("--part-size", metavar="SIZE", help="larger LFS objects come in parts of this size, where clients can (16M)")
    option("--max-staged", metavar="SIZE", help="bytes of one user's unfinished uploads in parts (256G)")
    option("--pack", metavar="BOOL", help="pack uploaded LFS objects in the background (true)")
    option("--git-processes", metavar="N", help="git processes at once; further fetches and pushes wait (16)")
    option("--anonymous-read", action="store_const", const="true", help="let everybody read every repository")
    option("--idle-seconds", metavar="N", help="how long a request's body may pause (120)")
    option("--action-seconds", metavar="N", help="how long upload and download URLs stay valid (3600)")
    option("--grace-seconds", metavar="N", help="how long running requests may finish after SIGTERM (30)")
    option("--log-format", metavar="FORMAT", help="text or json (text)")
    return result


def _announce(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
