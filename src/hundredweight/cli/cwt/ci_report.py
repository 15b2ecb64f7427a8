"""`cwt ci report`: what a revision changes: weights, metrics, data, environment."""

from __future__ import annotations

import argparse
import json
import math

from hundredweight.base.files import write_file
from hundredweight.base.sizes import format_size
from hundredweight.cli.markdown import code, escape, format_markdown
from hundredweight.client.ci.report import Limit, ModelChange, Report, gather
from hundredweight.client.workspace import open_workspace
from hundredweight.git.run import Git
from hundredweight.lineage.message import show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from hundredweight.cli.env import Environment
    from hundredweight.lineage.compare import Row
    from hundredweight.lineage.fields import Value

DESCRIPTION = (
    "Tell what a revision changes against another, as a reviewer wants to read it: metrics beside their bounds in "
    "hundredweight.toml, weights by tensors, parameters, data and environment. Nothing is downloaded: what a revision says of "
    "itself and the recipes of its weights are enough. With --metrics the figures go to a file that GitLab reads as a metrics "
    "report."
)
NOTHING = "none"
_SHORT = 12


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="cwt ci report", description=DESCRIPTION)
    made.add_argument("revision", nargs="?", default="HEAD", help="what to report on, by default HEAD")
    made.add_argument(
        "--against", required=True, metavar="REVISION", help="what to compare with: the target branch, a release"
    )
    made.add_argument("--json", action="store_true", help="print everything as JSON, not Markdown")
    made.add_argument("--out", default="", metavar="FILE", help="write the report to a file")
    made.add_argument(
        "--metrics", default="", metavar="FILE", help="also write the metrics, in OpenMetrics' text format"
    )
    return made


def run(args: list[str], environment: Environment) -> int:
    options = parser().parse_args(args)
    found = gather(open_workspace(Git(), environment.variables), options.against, options.revision)
    text = json.dumps(as_json(found), indent=2) + "\n" if options.json else as_markdown(found)
    if options.metrics:
        write_file(options.metrics, as_metrics(found).encode())
    if options.out:
        write_file(options.out, text.encode("utf-8", "surrogateescape"))
    else:
        print(text, end="")
    return 0


def as_markdown(report: Report) -> str:
    """For a comment, or the summary of a job."""
    names = (_name(report.old.name, report.old.commit), _name(report.new.name, report.new.commit))
    parts = [f"## Model report: {names[1]} against {names[0]}\n", _verdict(report)]
    if report.comparison.metrics or report.limits:
        parts.append("### Metrics\n\n" + _metrics(report))
    if report.models:
        head = ("model", "before", "after", "tensors")
        parts.append("### Weights\n\n" + format_markdown(head, [_model(model) for model in report.models], (1, 2)))
    for title, rows in (
        ("Parameters", report.comparison.parameters),
        ("Data", report.comparison.data),
        ("Environment", report.comparison.environment),
    ):
        changed = [row for row in rows if row.differs]
        if changed:
            table = [[code(row.key), *(_shown(value) for value in row.values)] for row in changed]
            parts.append(f"### {title}\n\n" + format_markdown(("", "before", "after"), table))
    return "\n".join(parts)


def _name(name: str, commit: str) -> str:
    return code(commit[:_SHORT]) if commit.startswith(name) else f"{code(name)} ({commit[:_SHORT]})"


def _verdict(report: Report) -> str:
    broken = [limit for limit in report.limits if not limit.kept]
    lines = [f"- **{code(limit.metric)} is {_shown(limit.value)}, {_bound(limit)}**" for limit in broken]
    changed = [name for name, rows in report.comparison.parts() if any(row.differs for row in rows)]
    lines.append(f"- different: {', '.join(changed)}" if changed else "- nothing that is recorded differs")
    if report.new.facts.experiment:
        lines.append(f"- made by experiment {code(report.new.facts.experiment)}")
    return "\n".join(lines) + "\n"


def _metrics(report: Report) -> str:
    bounds: dict[str, list[Limit]] = {}
    for limit in report.limits:
        bounds.setdefault(limit.metric, []).append(limit)
    rows = [_metric(row, bounds.pop(row.key, [])) for row in report.comparison.metrics]
    rows += [[code(key), NOTHING, NOTHING, "", "; ".join(map(_judged, limits))] for key, limits in bounds.items()]
    head = ["metric", "before", "after", "change", "bound"]
    if not report.limits:
        head, rows = head[:-1], [row[:-1] for row in rows]
    return format_markdown(head, rows, (1, 2, 3))


def _metric(row: Row, limits: Sequence[Limit]) -> list[str]:
    change = row.change
    shown = "" if not change or not math.isfinite(change) else f"{change:+.4g}"
    return [code(row.key), _shown(row.values[0]), _shown(row.values[-1]), shown, "; ".join(map(_judged, limits))]


def _judged(limit: Limit) -> str:
    return f"{'✓' if limit.kept else '✗'} {_bound(limit)}"


def _bound(limit: Limit) -> str:
    return f"{'at least' if limit.is_minimum else 'at most'} {show(limit.bound)}"


def _model(model: ModelChange) -> list[str]:
    counts = ", ".join(f"{count} {kind}" for kind, count in (model.tensors or {}).items())
    return [
        code(model.name),
        format_size(model.old_size) if model.old_size else NOTHING,
        format_size(model.new_size) if model.new_size else NOTHING,
        escape(counts or ("same tensors" if model.tensors is not None else f"not known: {model.unknown}")),
    ]


def _shown(value: Value) -> str:
    return NOTHING if value is None else escape(show(value))


def as_metrics(report: Report) -> str:
    """Numeric metrics of the new side in OpenMetrics' text format, which GitLab shows beside those of the target branch."""
    lines = ["# TYPE model_metric gauge"]
    for key, value in report.new.facts.metrics.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            name = key.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
            lines.append(f'model_metric{{name="{name}"}} {float(value)!r}')
    lines.append("# TYPE model_bytes gauge")
    lines += [f'model_bytes{{path="{weights.path}"}} {weights.size}' for weights in report.new.facts.weights]
    return "\n".join([*lines, "# EOF"]) + "\n"


def as_json(report: Report) -> dict[str, object]:
    """Every key is always there; docs/ci.md tells them."""
    sides = {
        side: {"name": found.name, "commit": found.commit, "experiment": found.facts.experiment}
        for side, found in (("old", report.old), ("new", report.new))
    }
    return {
        **sides,
        **{
            name: [
                {"key": row.key, "old": _plain(row.values[0]), "new": _plain(row.values[-1]), "differs": row.differs}
                for row in rows
            ]
            for name, rows in report.comparison.parts()
        },
        "models": [
            {
                "name": model.name,
                "old_size": model.old_size,
                "new_size": model.new_size,
                "tensors": model.tensors,
                "unknown": model.unknown,
            }
            for model in report.models
        ],
        "limits": [
            {
                "metric": each.metric,
                "minimum" if each.is_minimum else "maximum": each.bound,
                "value": _plain(each.value),
                "kept": each.kept,
            }
            for each in report.limits
        ],
        "kept": report.kept,
    }


def _plain(value: Value) -> Value:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
