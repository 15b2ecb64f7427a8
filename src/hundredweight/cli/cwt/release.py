"""`cwt release`: tags that say what went live, with the model card, stages, comparisons and signatures."""

from __future__ import annotations

from hundredweight.cli.group import Group

COMMANDS = ("create", "list", "show", "diff", "assign", "unassign", "history", "sign", "verify")
GROUP = Group("release", "Release models as tags, put them into stages, compare and sign them.", COMMANDS)
run = GROUP.run
parser = GROUP.parser
