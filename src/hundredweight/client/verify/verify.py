"""All checks of one verification, in order; what cannot be checked is told, and does not keep the others from being done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hundredweight.base.errors import CwtError
from hundredweight.client.verify import checkout, remote, storage
from hundredweight.client.verify.findings import Report, Severity
from hundredweight.client.verify.releases import check_release, check_tags, find_target
from hundredweight.client.verify.subject import read_subject
from hundredweight.git.config import parse_bool
from hundredweight.lineage import releases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hundredweight.client.verify.findings import Finding
    from hundredweight.client.verify.subject import Subject
    from hundredweight.client.workspace import Workspace

SIGNED = "hundredweight.signedtags"


@dataclass(frozen=True)
class Options:
    """`revision` empty: the work tree. `against` names a release or a stage. `remote` None: none is asked; empty: the usual one.
    `full`: read all weights. `signed`: releases must be signed; also asked for by `hundredweight.signedtags`. `installed`:
    compare this machine's packages."""

    revision: str = ""
    against: str = ""
    remote: str | None = None
    full: bool = False
    signed: bool = False
    installed: bool = False


def verify(workspace: Workspace, options: Options) -> Report:
    """Check everything. Raises what keeps it from being begun at all: `UnknownRevision`, `UnknownRelease`, `AmbiguousRelease`,
    `InvalidRemote`, `GitError`, `ScanError`, `RecordInvalid` of the settings."""
    chosen = None if options.remote is None else remote.chosen_remote(workspace, options.remote)
    subject = read_subject(workspace, options.revision)
    registry = releases.read(workspace.git)
    signed = options.signed or parse_bool(workspace.git_config.get(SIGNED), False)
    report = Report(options.revision, subject.commit, len(subject.entries), len(subject.pointers))
    release, wrong = find_target(subject, registry, options.against)
    report.release = release.name if release is not None else ""
    if wrong is not None:
        report.findings.append(replace(wrong, severity=Severity.WARNING) if options.revision else wrong)
    if subject.is_work_tree:
        _check(report, "checkout", lambda: checkout.check_checkout(subject, full=options.full))
    _check(report, "storage", lambda: storage.check_storage(subject))
    _check(report, "attributes", lambda: storage.check_attributes(subject))
    if release is not None:
        compared: Iterator[Finding] = check_release(
            subject, registry, release, is_recommended=not options.against, installed=options.installed
        )
        if not options.against:
            compared = _recommended(compared, everything=bool(options.revision))
        _check(report, "release", lambda: compared)
    _check(report, "tags", lambda: check_tags(subject, registry, signed=signed))
    if chosen is not None:
        _check(report, "remote", lambda: _remote(subject, chosen, registry))
    report.findings.sort(key=lambda found: found.severity)
    return report


def _recommended(compared: Iterable[Finding], *, everything: bool) -> Iterator[Finding]:
    """What is recommended is the weights to check out: data and packages of the next version may be here already. A commit that
    is named may be that version itself (`everything`)."""
    for found in compared:
        milder = everything or found.code in ("data-differ", "environment-differ")
        yield replace(found, severity=Severity.WARNING) if milder else found


def _remote(subject: Subject, name: str, registry: releases.Registry) -> Iterator[Finding]:
    yield from remote.check_remote_tags(subject, name, registry)
    yield from remote.check_objects(subject, name)


def _check(report: Report, group: str, check: Callable[[], Iterable[Finding]]) -> None:
    """One group of checks; an error in it is kept, with what was found before."""
    try:
        _add(report, group, check())
    except (CwtError, OSError) as error:
        report.unchecked[group] = str(error)


def _add(report: Report, group: str, found: Iterable[Finding]) -> None:
    for finding in found:
        report.findings.append(finding)
    report.done.append(group)
