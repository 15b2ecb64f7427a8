"""`cwt exp`: run trainings, record them as commits, compare and share them."""

from __future__ import annotations

from importlib.util import find_spec

from hundredweight.cli.group import Group

_ORDER = (
    "run", "record", "list", "show", "compare", "plot", "apply", "branch", "remove", "push", "pull", "import", "export",
)  # fmt: skip
COMMANDS = tuple(name for name in _ORDER if find_spec(f"hundredweight.cli.cwt.exp_{name}") is not None)
GROUP = Group("exp", "Run trainings, record them as commits of this repository, compare and share them.", COMMANDS)
run = GROUP.run
parser = GROUP.parser
