"""What people read when an experiment was recorded."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from hundredweight.lineage.message import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hundredweight.client.experiments.recording import Outcome

_SHOWN = 4


def recorded_line(outcome: Outcome) -> str:
    """One line or two, ending in a line feed."""
    made = outcome.record
    measured = ", ".join(f"{key}={show(value)}" for key, value in list(made.metrics.items())[:_SHOWN])
    how = made.status if made.status == "done" else f"{made.status} with exit code {made.exit_code}"
    text = f"recorded {made.id} ({made.name}): {how} after {made.seconds:.1f} s" + (f", {measured}" if measured else "")
    if outcome.branch:
        text += f"; branch {outcome.branch}"
    if outcome.wanted:
        text += (
            f"\nnote: the branch '{outcome.wanted}' has moved meanwhile; 'cwt exp branch {made.id} NAME' makes another"
        )
    if made.environment.differs:
        some = made.environment.differs
        text += f"\nnote: the environment is not as in '{made.environment.file}': {some[0]}"
        text += f", and {len(some) - 1} more" if some[1:] else ""
    return text + "\n"


def tell_killed(outcomes: Iterable[Outcome]) -> None:
    """Experiments that a killed command had left."""
    for outcome in outcomes:
        sys.stderr.write(f"note: {outcome.record.id} ({outcome.record.name}) was killed; it is recorded so\n")
