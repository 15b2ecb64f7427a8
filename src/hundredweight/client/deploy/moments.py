"""Moments as people write them, for questions about a journal."""

from __future__ import annotations

from datetime import UTC, datetime

from hundredweight.base.errors import UsageError


class BadMoment(UsageError):
    """A moment that nobody understands."""

    hint = "write it as 2026-11-23, '2026-11-23 14:05' or 2026-11-23T14:05:00Z; without a zone it is UTC"

    def __init__(self, text: str) -> None:
        super().__init__(f"'{text}' is no moment")


def parse_moment(text: str) -> str:
    """As the journal writes it. A day without a time is its end: what served last on it. Raises `BadMoment`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadMoment(text) from error
    if len(text) <= len("2026-11-23"):
        found = found.replace(hour=23, minute=59, second=59, microsecond=999999)
    zoned = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return zoned.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
