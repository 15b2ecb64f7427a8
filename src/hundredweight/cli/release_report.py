"""Releases and stages as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from hundredweight.base.sizes import format_size
from hundredweight.cli.table import format_table
from hundredweight.cli.weights import printable
from hundredweight.lineage.message import show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hundredweight.lineage.block import Facts
    from hundredweight.lineage.fields import Value
    from hundredweight.lineage.releases import Assignment, Period, Registry, Release

_FEW_METRICS = 4


def as_json(release: Release, stages: Sequence[str] = ()) -> dict[str, object]:
    """All that is known of a release."""
    facts = asdict(release.facts)
    made = asdict(release)
    del made["facts"]
    return {**made, "stages": list(stages), **facts}


def assignment_json(assigned: Assignment) -> dict[str, object]:
    return asdict(assigned)


def period_json(period: Period) -> dict[str, object]:
    return {**asdict(period), "until": period.until or None, "release": period.release or None}


def stages_by_release(registry: Registry) -> dict[str, list[str]]:
    """Names of releases with the stages that they are in now."""
    found: dict[str, list[str]] = {}
    for model in registry.models:
        for stage, assigned in registry.stages(model).items():
            if assigned.release:
                found.setdefault(assigned.release, []).append(stage)
    return found


def list_text(releases: Sequence[Release], stages: Mapping[str, Sequence[str]]) -> str:
    """The newest first."""
    rows = [
        (
            printable(release.name) + (" (withdrawn)" if release.withdrawn else ""),
            release.created[:16].replace("T", " "),
            printable(release.author.partition(" <")[0]),
            ", ".join(stages.get(release.name, ())) or "-",
            _few(release.facts.metrics) or "-",
            printable(release.notes.partition("\n")[0]) or "-",
        )
        for release in reversed(releases)
    ]
    return format_table(("RELEASE", "CREATED", "BY", "STAGES", "METRICS", "NOTES"), rows)


def show_text(release: Release, stages: Sequence[str]) -> str:
    """Everything, in sections."""
    lines = [f"release  {printable(release.name)}"]
    told = {
        "model": release.model,
        "commit": release.commit,
        "created": release.created,
        "by": release.author,
        "signed": "yes" if release.signed else "no",
        "stages": ", ".join(stages),
        "experiment": release.facts.experiment,
        "withdrawn": "yes" if release.withdrawn else "",
        "damaged": release.fault,
    }
    lines += [f"{key:<10} {printable(value)}" for key, value in told.items() if value]
    lines[0] = f"{'release':<10} {printable(release.name)}"
    text = "\n".join(lines) + "\n"
    if release.notes:
        text += "\n" + "".join(f"    {printable(line)}\n" for line in release.notes.splitlines())
    return text + facts_text(release.facts)


def facts_text(facts: Facts) -> str:
    """Metrics, parameters, weights, data and environment, those that there are."""
    text = _table("metrics", facts.metrics) + _table("parameters", facts.parameters)
    rows: list[tuple[str, ...]]
    if facts.weights:
        rows = [
            (f"  {printable(w.path)}", format_size(w.size), w.weights_id or f"sha256:{w.oid}") for w in facts.weights
        ]
        text += "\nweights\n" + format_table(*_headless(rows))
    if facts.data:
        rows = [
            (
                f"  {printable(d.path)}",
                printable(d.version) or "-",
                f"{d.files} files",
                format_size(d.bytes),
                d.digest[:16],
            )
            for d in facts.data
        ]
        text += "\ndata\n" + format_table(*_headless(rows))
    environment = facts.environment
    told = {"python": environment.python, "cuda": environment.cuda, "file": environment.file}
    told["packages"] = str(len(environment.packages)) if environment.packages else ""
    return text + _table("environment", {key: value for key, value in told.items() if value})


def history_text(periods: Sequence[Period]) -> str:
    """The newest first."""
    rows = [
        (
            f"{printable(period.model)}#{period.stage}",
            printable(period.release) or period.commit[:12],
            _moment(period.since),
            _moment(period.until) if period.until else "now",
            printable(period.who),
        )
        for period in reversed(periods)
    ]
    return format_table(("STAGE", "RELEASE", "FROM", "UNTIL", "BY"), rows)


def shown(value: Value) -> str:
    """A value for people: numbers to six digits, which is more than a metric means."""
    return "-" if value is None else printable(show(float(f"{value:.6g}") if isinstance(value, float) else value))


def _headless(rows: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], Sequence[tuple[str, ...]]]:
    return rows[0], rows[1:]


def _table(name: str, values: Mapping[str, Value]) -> str:
    if not values:
        return ""
    rows = [(f"  {printable(key)}", printable(v) if isinstance(v, str) else shown(v)) for key, v in values.items()]
    return f"\n{name}\n" + format_table(*_headless(rows))


def _few(metrics: Mapping[str, Value]) -> str:
    first = [f"{printable(key)}={shown(value)}" for key, value in list(metrics.items())[:_FEW_METRICS]]
    return ", ".join(first) + (f" and {len(metrics) - _FEW_METRICS} more" if len(metrics) > _FEW_METRICS else "")


def _moment(when: str) -> str:
    return when.removesuffix("Z").replace("T", " ")
