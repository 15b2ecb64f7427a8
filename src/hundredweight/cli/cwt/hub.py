"""`cwt hub`: run and administer a hub: serve, repo, token, stats, check.

`pre-receive` is git's hook on the hub's side.
"""

from __future__ import annotations

from hundredweight.cli.group import Group

COMMANDS = ("serve", "repo", "token", "stats", "check")
GROUP = Group("hub", "Run and administer a hub.", COMMANDS, hidden=("pre-receive",))
run = GROUP.run
parser = GROUP.parser
