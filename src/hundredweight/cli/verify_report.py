"""A verification as text, JSON, JUnit XML, and annotations of GitHub."""

from __future__ import annotations

import json
import socket
import time
import xml.etree.ElementTree as ET

from hundredweight.cli.weights import printable
from hundredweight.client.verify.findings import CHECKS, Severity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.client.verify.findings import Finding, Report


def as_text(report: Report) -> str:
    """What was found, each with its remedy, and how many."""
    lines = []
    for found in report.findings:
        lines.append(f"{found.severity}: {sentence(found)} [{found.code}]")
        if found.mend:
            lines.append(f"  mend: {printable(found.mend)}")
    lines += [f"not checked: {group}: {printable(why)}" for group, why in report.unchecked.items()]
    return "\n".join([*lines, summary(report)]) + "\n"


def summary(report: Report) -> str:
    """The last line: what was verified, and the outcome."""
    subject = f"'{report.revision}'" if report.revision else "the checkout"
    against = f" against {printable(report.release)}" if report.release else ""
    what = f"{subject} ({report.commit[:12]}){against}: {report.files:,} files, {report.weights:,} in Git LFS"
    counts = [
        f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"
        for found, noun in ((report.errors, "error"), (report.warnings, "warning"))
        if found
    ]
    return f"{what}: {', '.join(counts) or ('not all checked' if report.unchecked else 'all is well')}"


def sentence(found: Finding) -> str:
    """Path and text as one sentence."""
    return printable(f"{found.path} {found.text}" if found.path else found.text)


def as_json(report: Report, code: int) -> str:
    """One object, every key always there."""
    document = {
        "revision": report.revision or None,
        "commit": report.commit,
        "release": report.release or None,
        "files": report.files,
        "lfs_files": report.weights,
        "exit_code": code,
        "errors": len(report.errors),
        "warnings": len(report.warnings),
        "findings": [
            {
                "severity": str(found.severity),
                "check": found.check,
                "code": found.code,
                "path": found.path or None,
                "text": found.text,
                "mend": found.mend or None,
            }
            for found in report.findings
        ],
        "checked": report.done,
        "unchecked": [{"check": group, "reason": why} for group, why in report.unchecked.items()],
    }
    return json.dumps(document, indent=2) + "\n"


def as_junit(report: Report, seconds: float, now: float) -> bytes:
    """One test suite: a case for each group that was checked and found well, and one for each finding. Warnings pass, with
    their text as output."""
    cases = ET.Element("testsuite")
    by_group = {found.check for found in report.findings}
    for group in report.done:
        if group not in by_group:
            _case(cases, f"cwt.verify.{group}", CHECKS[group])
    for found in report.findings:
        case = _case(cases, f"cwt.verify.{found.check}.{found.code}", found.path or found.text)
        said = sentence(found) + (f"\nmend: {printable(found.mend)}" if found.mend else "")
        if found.severity is Severity.ERROR:
            failure = ET.SubElement(case, "failure", message=_clean(sentence(found)), type=found.code)
            failure.text = _clean(said)
        else:
            ET.SubElement(case, "system-out").text = _clean(f"warning: {said}")
    for group, why in report.unchecked.items():
        case = _case(cases, f"cwt.verify.{group}", f"{CHECKS[group]} (not checked)")
        ET.SubElement(case, "error", message=_clean(why), type="unchecked")
    cases.attrib.update(
        name="cwt verify",
        timestamp=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)),
        hostname=socket.gethostname(),
        tests=str(len(cases)),
        failures=str(len(report.errors)),
        errors=str(len(report.unchecked)),
        skipped="0",
        time=f"{seconds:.3f}",
    )
    suites = ET.Element("testsuites")
    suites.append(cases)
    ET.indent(suites)
    text: bytes = ET.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def as_github(report: Report) -> str:
    """Workflow commands: annotations on files, as GitHub shows them beside the diff."""
    lines = []
    for found in report.findings:
        mend = f"\nmend: {found.mend}" if found.mend else ""
        place = f"file={_property(found.path)}," if found.path else ""
        title = _property(f"cwt verify: {found.code}")
        lines.append(f"::{found.severity} {place}title={title}::{_message(sentence(found) + mend)}\n")
    for group, why in report.unchecked.items():
        lines.append(f"::error title={_property(f'cwt verify: {group} not checked')}::{_message(why)}\n")
    return "".join(lines)


def _case(cases: ET.Element, kind: str, name: str) -> ET.Element:
    return ET.SubElement(cases, "testcase", classname=kind, name=_clean(name), time="0")


def _clean(text: str) -> str:
    """Only characters that XML may hold."""
    return "".join(char if _is_xml(ord(char)) else "\ufffd" for char in text)


def _is_xml(code: int) -> bool:
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
