"""`cwt deploy` and `cwt rollback`: a version is made, or is here already; then it is switched to (`activation`)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.base.trace import notice
from hundredweight.client.deploy import tag, versions
from hundredweight.client.deploy.activation import Activation, mend
from hundredweight.client.deploy.journal import (
    BEGUN,
    DEPLOY,
    FAILED,
    READY,
    REMOVED,
    ROLLBACK,
    Journal,
    Settings,
    What,
)
from hundredweight.client.deploy.releases import SourceFailed, check_facts
from hundredweight.client.deploy.source import Wanted
from hundredweight.client.deploy.store import VersionStore
from hundredweight.client.deploy.target import NotATarget, Target
from hundredweight.git.patterns import PathFilter
from hundredweight.git.run import GitError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.base.progress import Meter
    from hundredweight.client.deploy.journal import Deployment, History
    from hundredweight.git.run import Git


class NoSuchDeployment(UsageError):
    """No version of that name was ever deployed there, or there is none to go back to."""

    hint = "'cwt deployments DIR' lists what was deployed there"


@dataclass(frozen=True, slots=True)
class Person:
    """`who` deploys, on which `host`, and `why`."""

    who: str
    host: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """Settings that the command line names; None: as in the deployment before."""

    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    run: str | None = None
    reload: str | None = None
    health: str | None = None
    health_timeout: float | None = None
    stop_timeout: float | None = None
    keep: int | None = None

    def on(self, before: Settings) -> Settings:
        """A `run` takes the place of a `reload`, and the other way round."""
        named: dict[str, Any] = {key: getattr(self, key) for key in self.__slots__ if getattr(self, key) is not None}
        if named.get("run"):
            named.setdefault("reload", "")
        if named.get("reload"):
            named.setdefault("run", "")
        return replace(before, **named)


@dataclass(frozen=True, slots=True)
class Stage:
    """What both actions need. `public`: the name of the target in tags of the source, empty for no tag. `wait`: seconds
    for another
    command to end."""

    target: Target
    git: Git
    variables: Mapping[str, str]
    person: Person
    meter: Meter
    wait: float = 10.0
    public: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`deployment` as the journal has it; `tag` is the name of the pushed tag, or empty."""

    deployment: Deployment
    seconds: float
    tag: str = ""


def deploy(stage: Stage, wanted: Wanted, changes: Changes) -> Outcome:
    """Make the version that `wanted` names, and let it serve. Raises what stopped it; what served before then serves still, or
    again (`WentBack`)."""
    stage.target.prepare()
    with stage.target.lock("cwt deploy", stage.wait) as lock:
        journal, history = _open(stage, lock)
        before = history.serving
        return _make(
            stage, journal, history, wanted, changes.on(before.settings if before else Settings()), lock, DEPLOY
        )


def rollback(stage: Stage, name: str, changes: Changes) -> Outcome:
    """Let a version serve that did before: the one that `name` names (a release, a version's folder or number, a commit), or the
    newest healthy one before the current. What is no longer kept is fetched again. Raises as `deploy`, and `NoSuchDeployment`."""
    target = stage.target
    if not target.exists:
        raise NotATarget(f"nothing was ever deployed to '{target.folder}'", hint="run 'cwt deploy SOURCE@REF --to DIR'")
    with target.lock("cwt rollback", stage.wait) as lock:
        journal, history = _open(stage, lock)
        chosen = _named(target, history, name) if name else _previous(target, history)
        settings = changes.on(_settings_of(chosen, history.serving))
        if chosen.folder not in target.names():
            wanted = Wanted(chosen.what.source, chosen.what.commit)
            return _make(stage, journal, history, wanted, settings, lock, ROLLBACK, chosen.what)
        number = target.next_number(history.next_number)
        store = _kept_store(stage, chosen)
        _begin(stage, journal, number, ROLLBACK, chosen.what, chosen.folder, settings)
        step = Activation(target, journal, number, chosen.folder, chosen.what, settings, stage.variables, lock)
        return _activate(stage, step, history, store)


def _settings_of(chosen: Deployment, serving: Deployment | None) -> Settings:
    """A version starts as it did; one from the time before there was a service, as the current one."""
    own = chosen.settings
    if serving is None:
        return own
    if own.run or own.reload:
        return replace(own, keep=serving.settings.keep)
    return replace(serving.settings, include=own.include, exclude=own.exclude)


def _kept_store(stage: Stage, chosen: Deployment) -> VersionStore | None:
    """The store, after it told that the kept version is whole. None where it is lost: going back must not need it. Raises
    `VersionIncomplete`."""
    target, what = stage.target, chosen.what
    if not VersionStore.is_at(target.store):
        return None
    wanted = Wanted(what.source, what.commit)
    store = VersionStore(target.store, wanted, stage.git, stage.variables, again=True, fetches=False)
    try:
        contents = store.contents(what.commit, PathFilter(chosen.settings.include, chosen.settings.exclude))
    except (GitError, SourceFailed) as error:
        notice(f"'{chosen.folder}' is not compared with git: {error}")
        return store
    versions.check(target, chosen.folder, contents)
    return store


def _open(stage: Stage, lock: int) -> tuple[Journal, History]:
    journal = Journal(stage.target.journal)
    history = mend(stage.target, journal, journal.read(), stage.variables, lock)
    journal.hold_reserve()
    return journal, history


def _make(
    stage: Stage,
    journal: Journal,
    history: History,
    wanted: Wanted,
    settings: Settings,
    lock: int,
    action: str,
    known: What | None = None,
) -> Outcome:
    """`known`: what that commit was called when it was deployed before."""
    target = stage.target
    store = VersionStore(target.store, wanted, stage.git, stage.variables, again=known is not None)
    paths = PathFilter(settings.include, settings.exclude)
    commit, release = store.fetch(partial=not paths.allows_everything)
    what = known or What(store.source, wanted.ref, commit, release)
    number = target.next_number(history.next_number)
    folder = versions.folder_name(number, what.name)
    _warn_of_moved(history, what)
    _begin(stage, journal, number, action, what, folder, settings)
    try:
        store.keep(folder, commit)
        contents = store.contents(commit, paths)
        if release:
            check_facts(store.git, release, {file.path: file.pointer.oid for file in contents.objects if file.pointer})
        reuse = versions.reusable(target, store, contents)
        fetched = sum(item.size for item in store.missing(contents.objects, reuse))
        versions.check_room(target, contents, fetched)
        versions.build(target, store, contents, folder, reuse, stage.meter)
        told = {"files": len(contents.files), "bytes": contents.size, "fetched": fetched}
        journal.write(READY, number, folder, **told, skipped=list(contents.skipped))
    except BaseException as error:
        _failed(journal, number, folder, error, target.current())
        raise
    step = Activation(target, journal, number, folder, what, settings, stage.variables, lock)
    return _activate(stage, step, history, store)


def _warn_of_moved(history: History, what: What) -> None:
    """A release is a promise: its tag should name what it named before."""
    for one in reversed(history.deployments):
        if what.release and (one.what.source, one.what.release) == (what.source, what.release):
            if one.what.commit != what.commit:
                before, now = one.what.commit[:12], what.commit[:12]
                notice(f"'{what.release}' was moved: it was {before} in deployment {one.number}, and is {now}")
            return


def _begin(
    stage: Stage, journal: Journal, number: int, action: str, what: What, folder: str, settings: Settings
) -> None:
    person = stage.person
    journal.write(
        BEGUN,
        number,
        folder,
        action=action,
        who=person.who,
        host=person.host,
        where=stage.target.folder,
        why=person.why,
        what={name: getattr(what, name) for name in what.__slots__},
        settings={name: getattr(settings, name) for name in settings.__slots__},
    )


def _failed(journal: Journal, number: int, folder: str, error: BaseException, current: str) -> None:
    reason = "it was interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
    try:
        journal.write(FAILED, number, folder, reason=reason, to=current)
    except CwtError as second:
        # The next command sees a deployment that has no end, and says so in the journal.
        notice(f"the journal lacks that this deployment failed: {second}")


def _activate(stage: Stage, step: Activation, history: History, store: VersionStore | None) -> Outcome:
    before = history.serving
    seconds = step.run(before)
    now = step.journal.read()
    made = now.deployments[-1]
    name = tag.publish(store, stage.public, made) if stage.public and store is not None else ""
    _clean(stage.target, step.journal, now, store, step.settings.keep)
    return Outcome(made, seconds, name)


def _clean(target: Target, journal: Journal, history: History, store: VersionStore | None, keep: int) -> None:
    """Remove versions beyond `keep`, and copies of what is there anew, but never the current one and what a rollback
    would take; and those that never proved
    healthy. What cannot be removed now is next time: the deployment stands."""
    serving = history.serving
    here = target.names()
    good = [folder for folder in history.good_folders() if folder in here]
    kept = set(_newest(history, good, keep) if keep > 0 else good)
    kept.add(target.current())
    before = [one.folder for one in history.deployments if one.good and one is not serving and one.folder in here]
    kept.update(before[-1:])
    kept.update(_older(history, target)[-1:])
    try:
        for folder in here:
            if folder not in kept:
                target.drop(folder)
                made = history.maker(folder)
                journal.write(REMOVED, made.number if made else 0, folder)
        if store is not None:
            store.prune(kept)
    except CwtError as error:
        notice(f"older versions could not be removed: {error}")


def _newest(history: History, folders: list[str], keep: int) -> list[str]:
    """The newest so many; of one that was deployed again as it was, only the last counts."""
    chosen: dict[object, str] = {}
    for folder in reversed(folders):
        made = history.maker(folder)
        same = (made.what.commit, made.settings.include, made.settings.exclude) if made else folder
        if same not in chosen and len(chosen) < keep:
            chosen[same] = folder
    return list(chosen.values())


def _older(history: History, target: Target) -> list[str]:
    """Healthy versions that are here and older than the current one, the newest last."""
    good = [folder for folder in history.good_folders() if folder in target.names()]
    current = target.current()
    return good[: good.index(current)] if current in good else good


def _previous(target: Target, history: History) -> Deployment:
    older = _older(history, target)
    made = history.maker(older[-1]) if older else None
    if made is None:
        raise NoSuchDeployment(f"'{target.folder}' keeps no version before the current one")
    return made


def _named(target: Target, history: History, name: str) -> Deployment:
    """Healthy ones before others, kept ones before others, newer ones before older ones."""
    fitting = [one for one in history.deployments if _fits(one, name)]
    if not fitting:
        raise NoSuchDeployment(f"'{name}' was never deployed to '{target.folder}'")
    here = target.names()
    best = max(fitting, key=lambda one: (one.good, one.folder in here, one.number))
    return history.maker(best.folder) or best


def _fits(one: Deployment, name: str) -> bool:
    what = one.what
    by_commit = len(name) >= 7 and what.commit.startswith(name)
    return name in (one.folder, one.folder.partition("-")[0], what.release, what.ref, what.commit) or by_commit
