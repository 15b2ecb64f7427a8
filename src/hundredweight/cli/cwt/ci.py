"""`cwt ci`: workflows for GitHub and GitLab, and the report that they show."""

from __future__ import annotations

from hundredweight.cli.group import Group

COMMANDS = ("init", "report")
GROUP = Group("ci", "Continuous integration for models: workflow files, and a report of what a change does.", COMMANDS)
run = GROUP.run
parser = GROUP.parser
