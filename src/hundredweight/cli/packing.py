"""What commands that pack tell: progress, objects, and what it saved."""

from __future__ import annotations

import sys

from hundredweight.base.errors import EXIT_DAMAGED
from hundredweight.base.sizes import format_size
from hundredweight.cli.weights import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.base.ids import Oid
    from hundredweight.cli.tasks import Tasks
    from hundredweight.client.pack import PackOutcome, PackPlan
    from hundredweight.store.packing import PackedItem


class PackMeter:
    """Tells how far packing is."""

    def __init__(self, tasks: Tasks, plan: PackPlan, *, verbose: bool) -> None:
        self._tasks = tasks
        self._plan = plan
        self._verbose = verbose
        self._done = 0
        if plan.items:
            tasks.counted("Packing objects", len(plan.items))

    def advance(self, item: PackedItem) -> None:
        self._done += 1
        if self._verbose:
            result = item.result
            became = "left as it is" if result is None else f"{format_size(result.stored + result.recipe)}"
            self._tasks.entry(f"{line(self._plan, item.oid)}: {became}")
        self._tasks.count(self._done)


def tell(outcome: PackOutcome) -> int:
    """What packing did on stdout, what it could not read on stderr; gives the exit code."""
    print(summary(outcome))
    sys.stdout.flush()
    for damaged in outcome.damaged:
        sys.stderr.write(f"error: {damaged.message}\nhint: {damaged.hint}\n")
    return EXIT_DAMAGED if outcome.damaged else 0


def summary(outcome: PackOutcome) -> str:
    """What packing did, in a line."""
    if outcome.packed:
        percent = 100 * outcome.stored / outcome.raw
        sizes = f"{format_size(outcome.raw)} became {format_size(outcome.stored)} ({percent:.1f} %)"
        parts = [f"packed {objects(outcome.packed)}: {sizes}"]
    elif outcome.again:
        parts = [f"removed loose copies of {objects(outcome.again)} in packs"]
    else:
        parts = ["nothing to pack"]
    if outcome.left:
        parts.append(f"{objects(len(outcome.left))} left as they are, since packing would gain nothing")
    if outcome.merged:
        parts.append(f"made one of {outcome.merged} packs")
    return "; ".join(parts)


def objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def line(plan: PackPlan, oid: Oid) -> str:
    """One object of a plan."""
    return f" * {oid[:12]} {printable(plan.paths[oid]) or '(no commit)'} ({format_size(plan.sizes[oid])})"
