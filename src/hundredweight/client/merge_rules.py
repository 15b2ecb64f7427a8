"""What becomes of tensors that both sides of a merge changed: strategies, for all or by patterns of names.

A later rule wins over an earlier one, as in `.gitattributes`; metadata is addressed as `__metadata__.KEY`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hundredweight.git.config import Config

OURS, THEIRS, AVERAGE, SUM, CONFLICT = "ours", "theirs", "average", "sum", "conflict"
STRATEGIES = (OURS, THEIRS, AVERAGE, SUM, CONFLICT)
STRATEGY_KEY = "hundredweight.merge.strategy"
RULE_KEY = "hundredweight.merge.rule"
VARIABLE = "CWT_MERGE_STRATEGY"
DRIVER = "lfs"


class BadStrategy(UsageError):
    """A merge strategy, or a rule of them, is none. `text` is what was said, `place` where."""

    hint = f"strategies are {', '.join(STRATEGIES)}; a rule is PATTERN=STRATEGY, such as 'lm_head.*=theirs'"

    def __init__(self, text: str, place: str) -> None:
        super().__init__(f"'{text}' ({place}) is no merge strategy")
        self.text = text
        self.place = place


@dataclass(frozen=True)
class MergeRules:
    """`rules` are (pattern, strategy), the strongest last; `default` is for names that none of them matches."""

    default: str = CONFLICT
    rules: tuple[tuple[str, str], ...] = ()

    def strategy(self, name: str) -> str:
        """For the tensor `name`."""
        return next((how for pattern, how in reversed(self.rules) if fnmatchcase(name, pattern)), self.default)


def parse_rules(default: str, rules: Iterable[str], place: str) -> MergeRules:
    """`rules` are texts `PATTERN=STRATEGY`; an empty `default` is `conflict`. Raises `BadStrategy`, which names `place`."""
    pairs = []
    for text in rules:
        pattern, equals, strategy = text.rpartition("=")
        if not equals or not pattern or strategy not in STRATEGIES:
            raise BadStrategy(text, place)
        pairs.append((pattern, strategy))
    if default and default not in STRATEGIES:
        raise BadStrategy(default, place)
    return MergeRules(default or CONFLICT, tuple(pairs))


def configured_rules(config: Config, variables: Mapping[str, str]) -> MergeRules:
    """What git's configuration says; the environment's CWT_MERGE_STRATEGY stands for the strategy of one command. Raises
    `BadStrategy`."""
    found = parse_rules(config.get(STRATEGY_KEY), config.all(RULE_KEY), "in git's configuration")
    chosen = variables.get(VARIABLE, "")
    return MergeRules(parse_rules(chosen, (), VARIABLE).default, found.rules) if chosen else found


def driver_config(program: str = "cwt") -> list[tuple[str, str]]:
    """Git's configuration by which it merges files with `merge=lfs` by us. `program` is how a shell starts ours."""
    return [
        (f"merge.{DRIVER}.name", "weights by tensors, other LFS files as binary ones"),
        (f"merge.{DRIVER}.driver", f"{program} merge-driver -- %O %A %B %P"),
    ]
