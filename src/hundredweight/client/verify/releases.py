"""Whether a commit has the weights, the data and the environment of a release; and whether tags still say what they said."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hundredweight.base.errors import UsageError
from hundredweight.client.experiments import machine
from hundredweight.client.lineage_settings import of_revision
from hundredweight.client.verify.findings import Finding, Severity, command
from hundredweight.client.verify.subject import recommended
from hundredweight.git import refs
from hundredweight.git.objects import ObjectReader
from hundredweight.lineage.data import data_versions
from hundredweight.lineage.environment import canonical, differences, parse_requirements
from hundredweight.lineage.fields import RecordInvalid
from hundredweight.lineage.weights import weights_in
from hundredweight.protocol.pointer import try_parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hundredweight.client.verify.subject import Subject
    from hundredweight.git.run import Git
    from hundredweight.lineage.releases import Registry, Release

MAX_LINES = 10
"""Packages that are listed one by one."""
MAX_LIST = 16 << 20


class UnknownRelease(UsageError):
    """No release has that name, and no stage."""

    hint = "run 'cwt release list' to see the releases there are, 'git fetch --tags' to get those of the remote"

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' is no release")


def find_target(subject: Subject, registry: Registry, against: str) -> tuple[Release | None, Finding | None]:
    """The release to compare with: the one named, or the recommended one; and what is wrong with the recommendation. Raises
    `UnknownRelease`, `AmbiguousRelease`, `RecordInvalid`."""
    name, certain = (against, True) if against else recommended(subject)
    release = registry.resolve(name) if name else None
    if release is not None or not name:
        return release, None
    if against:
        raise UnknownRelease(name)
    text = f"'{name}' is recommended, but there is no such release here"
    severity = Severity.ERROR if certain else Severity.WARNING
    return None, Finding("release", "unknown-release", text, mend="git fetch --tags", severity=severity)


def check_release(
    subject: Subject, registry: Registry, release: Release, *, is_recommended: bool, installed: bool
) -> Iterator[Finding]:
    """Compare with a release. `installed`: look at the packages of this machine's Python, too. Raises `RecordInvalid`."""
    yield from _weights(subject, registry, release, "not-recommended" if is_recommended else "weights-differ")
    yield from _data(subject, release)
    yield from _environment(subject, release)
    if installed:
        yield from _installed(subject, release)


def check_tags(subject: Subject, registry: Registry, *, signed: bool) -> Iterator[Finding]:
    """Tags that say of themselves that they stood elsewhere, cannot be read, or lack a signature."""
    asked = [(release, each) for release in registry.releases for each in release.facts.weights]
    moved: dict[str, str] = {}
    with ObjectReader(subject.git) as reader:
        answers = reader.contents(f"{release.commit}:{each.path}" for release, each in asked)
        for (release, each), answer in zip(asked, answers, strict=True):
            pointer = try_parse(answer[1]) if answer is not None else None
            if pointer is None or pointer.oid != each.oid:
                moved.setdefault(release.name, each.path)
    for release in registry.releases:
        if release.name in moved:
            text = (
                f"the tag '{release.name}' was moved: it says that '{moved[release.name]}' is another object than the commit "
                f"{release.commit[:12]} has"
            )
            yield Finding("tags", "moved-tag", text, mend=_fetch_tag(subject, release.name))
        if release.fault:
            yield Finding("tags", "damaged-tag", release.fault, mend=_fetch_tag(subject, release.name))
        if signed:
            yield from _signature(subject.git, release)


def _signature(git: Git, release: Release) -> Iterator[Finding]:
    sign = command("git", "tag", "--sign", "--force", release.name, f"{release.name}^{{}}")
    if not release.signed:
        yield Finding("tags", "unsigned-tag", f"the tag '{release.name}' is not signed", mend=sign)
        return
    checked = git.run("verify-tag", release.name)
    if checked.code:
        said = os.fsdecode(checked.err).strip().splitlines()
        reason = f": {said[0]}" if said else ""
        text = f"the signature of the tag '{release.name}' is not valid here{reason}"
        yield Finding("tags", "bad-signature", text, mend=command("git", "verify-tag", "-v", release.name))


def _fetch_tag(subject: Subject, name: str) -> str:
    config = subject.workspace.config
    if not refs.remotes(config):
        return command("cwt", "release", "show", name)
    remote = refs.default_remote(config, refs.current_branch(subject.git))
    return command("git", "fetch", "--force", remote, f"refs/tags/{name}:refs/tags/{name}")


def _weights(subject: Subject, registry: Registry, release: Release, code: str) -> Iterator[Finding]:
    patterns = of_revision(subject.git, release.commit).weights
    facts = release.facts.weights or weights_in(subject.git, release.commit, patterns)
    here = {path: pointer.oid for path, pointer in subject.pointers.items()}
    others = [each.path for each in facts if here.get(each.path) != each.oid]
    same_commit = subject.commit == release.commit
    if same_commit or (facts and not others):
        return
    why = "recommended" if code == "not-recommended" else "asked for"
    place = f"the {'checkout' if subject.is_work_tree else 'commit'} is {_called(subject, registry)}"
    text = f"{place}, not {release.name}, which is {why}"
    if others:
        text = f"is not that of {release.name}, which is {why}: {place}"
        text += f"; {len(others) - 1} more differ" if len(others) > 1 else ""
    mend = command("git", "checkout", release.name)
    yield Finding("release", code, text, others[0] if others else "", mend)


def _called(subject: Subject, registry: Registry) -> str:
    """A name for what is here: the release of this commit, or of the same weights, or the commit."""
    for release in reversed(registry.releases):
        if release.commit == subject.commit:
            return release.name
    for release in reversed(registry.releases):
        weights = release.facts.weights
        known = ((path, pointer.oid) for path, pointer in subject.pointers.items())
        if weights and {(each.path, each.oid) for each in weights} <= set(known):
            return f"{release.name} in its weights"
    return subject.commit[:12]


def _data(subject: Subject, release: Release) -> Iterator[Finding]:
    git = subject.git
    wanted = [each for each in release.facts.data if each.digest]
    if not wanted:
        settings = of_revision(git, release.commit)
        wanted = [each for each in data_versions(git, release.commit, settings.data) if each.digest]
    here = {found.path: found for found in data_versions(git, subject.commit, [each.path for each in wanted])}
    for each in wanted:
        if here[each.path].digest != each.digest:
            named = f" ({each.version})" if each.version else ""
            what = "is another version of the data" if here[each.path].files else "has no data, other"
            text = f"{what} than {release.name} was made with{named}"
            mend = command(
                "cwt", "data", "diff", release.name, *(("HEAD",) if not subject.revision else (subject.revision,))
            )
            yield Finding("release", "data-differ", text, each.path, mend)


def _environment(subject: Subject, release: Release) -> Iterator[Finding]:
    """What the commit's list wants, against the packages that the release was made with, or else against its list."""
    path = subject.settings.environment
    if not path:
        return
    wanted = _listed(subject.git, subject.commit, path)
    packages: Mapping[str, str] = release.facts.environment.packages
    if wanted is None:
        yield Finding("release", "environment-differ", "is missing: nothing says which packages are wanted", path)
        return
    if packages:
        # What was so at the training is no change since then: the release has told it.
        known = release.facts.environment.differs
        lines = [line for line in differences(packages, wanted) if line not in known]
        said = f"differs from the packages that {release.name} was made with"
    else:
        before = _listed(subject.git, release.commit, path) or {}
        names = sorted(name for name in {*before, *wanted} if before.get(name) != wanted.get(name))
        lines = [
            f"{name} {before.get(name, '(none)') or '(any)'} -> {wanted.get(name, '(none)') or '(any)'}"
            for name in names
        ]
        said = f"differs from that of {release.name}"
    if lines:
        mend = command("git", "checkout", release.name, "--", path)
        yield Finding("release", "environment-differ", f"{said}: {_few(lines)}", path, mend)


def _installed(subject: Subject, release: Release) -> Iterator[Finding]:
    """The packages of this machine's Python, against those of the release: of the ones that its list names, where it has one."""
    workspace = subject.workspace
    top = workspace.repository.work_tree
    path = subject.settings.environment
    here = machine.environment(machine.find_python((), top, workspace.variables), top, workspace.variables, None)
    packages = dict(release.facts.environment.packages)
    named = _listed(subject.git, release.commit, path) if path else None
    if named is not None:
        packages = {name: version for name, version in packages.items() if canonical(name) in named} or named
    lines = list(differences(here.packages, packages))
    wanted = release.facts.environment.python
    if wanted and here.python and wanted.split(".")[:2] != here.python.split(".")[:2]:
        lines.insert(0, f"Python is {here.python}, wanted {wanted}")
    if lines:
        text = f"what is installed differs from what {release.name} was made with: {_few(lines)}"
        mend = command("python", "-m", "pip", "install", "-r", path) if path.endswith(".txt") else ""
        yield Finding("release", "installed-differ", text, path, mend)


def _few(lines: list[str]) -> str:
    more = len(lines) - MAX_LINES
    return "; ".join(lines[:MAX_LINES]) + (f"; and {more} more" if more > 0 else "")


def _listed(git: Git, commit: str, path: str) -> dict[str, str] | None:
    with ObjectReader(git) as reader:
        info = reader.info(f"{commit}:{path}")
        if info is None or info.kind != "blob" or info.size > MAX_LIST:
            return None
        data = reader.read(info.name)
    try:
        return parse_requirements(path, data)
    except RecordInvalid:
        return None
