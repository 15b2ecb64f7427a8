"""A check of all objects of this hub, told as events: what is wrong, whose it is, how far it is, and the sum of it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hundredweight.base.ids import Oid
from hundredweight.hub.admin.interface import CheckFinding, CheckProgress, CheckReport
from hundredweight.hub.errors import Busy
from hundredweight.store.check import Finding, Kind, Progress, check

if TYPE_CHECKING:
    from collections.abc import Generator

    from hundredweight.hub.admin.interface import CheckEvent
    from hundredweight.hub.services import Services

MAX_HOLDERS = 20


def check_objects(services: Services, *, repair: bool) -> Generator[CheckEvent]:
    """See `Administration.check`. Raises `BackendError`, `DatabaseError`, and `Busy` when the hub stops meanwhile."""
    if repair:
        services.packs.forget_missing()
    total = services.objects.stats().objects
    counts: Counter[str] = Counter()
    quarantined = 0
    last = Progress(0, 0)
    for found in check(services.store, services.objects, repair=repair):
        if services.stopping.is_set():
            raise Busy("the hub is stopping; the check is not finished")
        if isinstance(found, Progress):
            last = found
            yield CheckProgress(event="progress", objects=found.objects, total=total, bytes=found.bytes)
            continue
        holders = _holders(services, found)
        if found.kind is Kind.MISSING and not holders:
            continue  # no repository has lost anything: the record is a deleted one's
        counts[found.kind] += 1
        quarantined += bool(found.place)
        yield CheckFinding(
            event="finding",
            kind=found.kind,
            name=found.name,
            size=found.size,
            reason=found.reason,
            repositories=holders,
            place=found.place,
        )
    yield CheckReport(
        event="end",
        ok=not any(counts[kind] for kind in Kind if kind.is_fault),
        objects=last.objects,
        bytes=last.bytes,
        damaged=counts[Kind.DAMAGED],
        unreadable=counts[Kind.UNREADABLE],
        missing=counts[Kind.MISSING],
        unrecorded=counts[Kind.UNRECORDED],
        stray=counts[Kind.STRAY],
        quarantined=quarantined,
    )


def _holders(services: Services, found: Finding) -> list[str]:
    if not found.kind.is_fault:
        return []
    return list(services.objects.holders(Oid(found.name), MAX_HOLDERS))
