"""`cwt exp`: run trainings, record them as commits, compare and share them."""

from __future__ import annotations

from hundredweight.cli.group import Group

COMMANDS = (
    "run", "record", "list", "show", "compare", "plot", "apply", "branch", "remove", "push", "pull", "import", "export",
)  # fmt: skip
GROUP = Group("exp", "Run trainings, record them as commits of this repository, compare and share them.", COMMANDS)
run = GROUP.run
parser = GROUP.parser
