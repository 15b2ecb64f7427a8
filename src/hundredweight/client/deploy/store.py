"""What a target keeps between deployments: a bare repository with the commits of its versions, without their history, and an
LFS store, in packs, so that of the next version only what differs has to come.

Nothing here cannot be fetched again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hundredweight.base.errors import DamageError, RemoteError, UsageError
from hundredweight.base.trace import notice
from hundredweight.client.deploy.releases import SourceFailed, find, git_words
from hundredweight.client.deploy.source import without_password
from hundredweight.client.deploy.target import remove_tree
from hundredweight.client.repository_format import ensure
from hundredweight.client.transfer_options import PACKS, drop_packed, transfer_options
from hundredweight.client.workspace import open_workspace
from hundredweight.git.objects import ObjectReader
from hundredweight.git.run import GitError
from hundredweight.git.scan import PointerFile, read_pointers, small_blobs
from hundredweight.protocol.batch import DOWNLOAD
from hundredweight.protocol.pointer import CUTOFF
from hundredweight.transfer.queue import Item, TransferQueue, distinct_errors
from hundredweight.transfer.server import open_server

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from hundredweight.base.progress import Meter
    from hundredweight.client.deploy.source import Wanted
    from hundredweight.client.workspace import Workspace
    from hundredweight.git.patterns import PathFilter
    from hundredweight.git.run import Git
    from hundredweight.protocol.pointer import Pointer
    from hundredweight.transfer.queue import Failure
    from hundredweight.transfer.server import LfsServer

REFS = "refs/versions/"
POINTERS_ONLY = f"--filter=blob:limit={CUTOFF}"
_SETTINGS = (
    (PACKS, "true"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("core.hooksPath", os.devnull),
    ("protocol.version", "2"),
    # The store is meant, wherever it stands.
    ("safe.bareRepository", "all"),
    # A network that died says nothing: after half a minute without bytes git gives up.
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
)
_FORBIDDEN = frozenset(("", ".", "..", ".git", "git~1"))


class UnsafePath(DamageError):
    """A tree holds a path or a symbolic link that leads out of its folder, or to where git keeps its own. Nothing was
    deployed."""

    hint = "leave it out with '--exclude PATTERN', or name what is needed with '--include PATTERN'"

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"'{path}' {what}")
        self.path = path


class NothingChosen(UsageError):
    """No file of the version matches --include and --exclude."""


class ObjectsMissing(RemoteError):
    """Weights of the version could not be had. What is deployed stays; what has arrived is kept for the next attempt."""

    def __init__(self, failures: list[Failure]) -> None:
        error = distinct_errors(failures)[0]
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        super().__init__(
            f"cannot fetch '{failures[0].item.path}'{more}: {error}",
            hint=error.hint or "run 'git lfs push --all' where the weights are, then run the command again",
        )
        self.failures = failures


@dataclass(frozen=True, slots=True)
class TreeFile:
    """A file to deploy: `mode` as git has it, `blob` its name, `pointer` where LFS has its content, `size` of that content."""

    path: str
    mode: str
    blob: str
    size: int
    pointer: Pointer | None

    @property
    def is_link(self) -> bool:
        return self.mode == "120000"

    @property
    def executable(self) -> bool:
        return self.mode == "100755"


@dataclass(frozen=True, slots=True)
class Contents:
    """The files of a version, and the submodules that are left out."""

    files: tuple[TreeFile, ...]
    skipped: tuple[str, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def objects(self) -> tuple[TreeFile, ...]:
        """Those whose content is an LFS object."""
        return tuple(file for file in self.files if file.pointer is not None and file.size)


class VersionStore:
    """Opened for one source. Call with the target's lock held: nobody else uses the folder. `workspace` is it as other actions
    see one."""

    def __init__(
        self,
        folder: str,
        wanted: Wanted,
        git: Git,
        variables: Mapping[str, str],
        *,
        again: bool = False,
        fetches: bool = True,
    ) -> None:
        """`again`: the source is named as the journal has it, without the password that the store may know. Makes the
        folder, or mends it, unless it is the source's and nothing is to be fetched: then a full disk does no harm. Raises
        `SourceFailed`, `GitError`, `OSError`."""
        self.folder = folder
        known = self._url(folder, git)
        self.wanted = replace(wanted, source=known) if again and without_password(known) == wanted.source else wanted
        self.source = without_password(wanted.source)
        self._outside = git
        self._variables = variables
        options = tuple(part for key, value in _SETTINGS for part in ("-c", f"{key}={value}"))
        self.git = git.at(folder).with_options(*options)
        if fetches or known != self.wanted.source:
            self._prepare()
        self.workspace: Workspace = self._opened()

    @staticmethod
    def is_at(folder: str) -> bool:
        """Whether a store was made there."""
        return os.path.exists(os.path.join(folder, "HEAD"))

    @staticmethod
    def _url(folder: str, git: Git) -> str:
        found = git.run("config", "--file", os.path.join(folder, "config"), "remote.origin.url")
        return os.fsdecode(found.out).removesuffix("\n")

    def _opened(self) -> Workspace:
        found = open_workspace(self.git, self._variables)
        ensure(found)
        return found

    def _prepare(self) -> None:
        _unlock(self.folder)
        remove_tree(os.path.join(self.folder, "lfs", "tmp"))
        new = () if self.is_at(self.folder) else self._format_option()
        # Where the repository is there already, this mends what a killed command left of it.
        self._outside.at("").output("init", "-q", "--bare", "--template=", *new, self.folder)
        self.git.output("config", "remote.origin.url", self.wanted.source)
        self.git.output("config", PACKS, "true")

    def _format_option(self) -> tuple[str, ...]:
        """For a new repository: objects named as in the source."""
        source = self.wanted.source
        try:
            first = self._outside.at("").text("ls-remote", "--quiet", source).partition("\t")[0]
        except GitError as error:
            raise SourceFailed(self.source, git_words(error)) from error
        return ("--object-format=sha256",) if len(first) == 64 else ()

    def fetch(self, *, partial: bool) -> tuple[str, str]:
        """The commit that the source calls so now, kept as the newest one of the store, and the release's tag, or empty.
        `partial`:
        the contents of files that are no pointers come later, those that are needed. Raises `SourceFailed`, `NoSuchVersion`."""
        found = find(self.wanted, self.git, os.path.join(self.folder, "tags"), self.source)
        into = found.fetch if found.release else f"{REFS}new"
        try:
            self.git.output(
                *("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no"),
                *((POINTERS_ONLY,) if partial else ()),
                *("--update-shallow", "origin", f"+{found.fetch}:{into}"),
            )
            commit = self.git.text("rev-parse", "--verify", f"{into}^{{commit}}")
        except GitError as error:
            raise SourceFailed(self.source, git_words(error)) from error
        # Where `.lfsconfig` is read from.
        self.git.output("update-ref", "--no-deref", "HEAD", commit)
        self.workspace = self._opened()
        return commit, found.release

    def keep(self, name: str, commit: str) -> None:
        """Hold on to the commit of a version; it is what the next fetch is compared with."""
        self.git.output("update-ref", f"{REFS}{name}", commit)

    def contents(self, commit: str, paths: PathFilter) -> Contents:
        """What a version consists of; contents of plain files that are not here yet are fetched. Raises `UnsafePath`,
        `NothingChosen`, `SourceFailed`."""
        listed: list[tuple[str, str, str]] = []
        skipped = []
        for record in self.git.fields("ls-tree", "-r", "-z", "--full-tree", commit):
            facts, _, path = record.partition("\t")
            mode, kind, blob = facts.split()
            if not paths.allows(path):
                continue
            _check_path(path)
            if kind == "blob":
                listed.append((path, mode, blob))
            else:
                skipped.append(path)
        if not listed:
            raise NothingChosen(
                f"no file of {self.wanted.text} is chosen"
                if not paths.allows_everything
                else "the version has no files",
                hint="check '--include' and '--exclude' against 'git ls-tree -r --name-only REF'",
            )
        self._complete(commit, {blob for _, _, blob in listed})
        return Contents(tuple(self._described(listed)), tuple(skipped))

    def _complete(self, commit: str, needed: set[str]) -> None:
        """Fetch the blobs that a partial fetch left out."""
        found = self.git.output("rev-list", "--objects", "--missing=print", "--no-walk", commit).split(b"\n")
        missing = {line[1:].decode() for line in found if line.startswith(b"?")} & needed
        if missing:
            command = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no")
            try:
                self.git.with_options("-c", "fetch.negotiationAlgorithm=noop").output(
                    *command,
                    "--filter=blob:none",
                    "--stdin",
                    "origin",
                    stdin="".join(f"{b}\n" for b in missing).encode(),
                )
            except GitError as error:
                raise SourceFailed(self.source, git_words(error)) from error

    def _described(self, listed: list[tuple[str, str, str]]) -> Iterator[TreeFile]:
        regular = {blob: path for path, mode, blob in listed if mode.startswith("100")}
        pointers = {
            found.blob: found.pointer for found in read_pointers(self.git, small_blobs(self.git, regular.items()))
        }
        with ObjectReader(self.git) as reader:
            for (path, mode, blob), info in zip(listed, reader.infos([blob for _, _, blob in listed]), strict=True):
                if info is None:
                    raise SourceFailed(self.source, f"it lacks the content of '{path}'")
                pointer = pointers.get(blob) if mode.startswith("100") else None
                yield TreeFile(path, mode, blob, info.size if pointer is None else pointer.size, pointer)

    def missing(self, files: Iterable[TreeFile], elsewhere: Container[str] = ()) -> list[Item]:
        """Of LFS files those whose objects have to come, each once; not those that can be had `elsewhere`."""
        store = self.workspace.store
        items = {}
        for file in files:
            if file.pointer is None or file.pointer.oid in elsewhere:
                continue
            if not store.has(file.pointer.oid, file.size):
                items[file.pointer.oid] = Item(file.pointer.oid, file.size, file.path)
        return list(items.values())

    def download(self, items: list[Item], meter: Meter) -> None:
        """Bring objects here. Raises `ObjectsMissing`."""
        failures: list[Failure] = []
        for server in self._servers():
            with server:
                failures = self._download(server, items, meter)
            if not failures:
                return
            items = [failure.item for failure in failures]
        raise ObjectsMissing(failures)

    def _download(self, server: LfsServer, items: list[Item], meter: Meter) -> list[Failure]:
        options = transfer_options(self.workspace)
        with TransferQueue(server, DOWNLOAD, self.workspace.store, options, meter) as queue:
            for item in items:
                queue.add(item)
            failures = queue.wait()
        drop_packed(options)
        return failures

    def _servers(self) -> Iterator[LfsServer]:
        """The source's; for a clone on this machine also the one that it has its own objects from."""
        here = self.workspace
        git_dir = here.repository.git_dir
        yield open_server(here.config, here.git, self._variables, "origin", DOWNLOAD, git_dir=git_dir)
        if self.wanted.local:
            there = open_workspace(self._outside.at(self.wanted.source), self._variables)
            if there.config.subsections("remote", "url") or there.config.has("lfs.url"):
                folder = there.repository.git_dir
                yield open_server(there.config, there.git, self._variables, "", DOWNLOAD, git_dir=folder)

    def forget_packs(self) -> None:
        """Drop what the packs hold, after they turned out damaged: it comes again."""
        notice(f"the packs in '{self.folder}' are damaged; what they hold is fetched anew")
        self.workspace.store.close()
        remove_tree(self.workspace.store.packs.folder)
        self.workspace = self._opened()

    def versions(self) -> dict[str, str]:
        """The commits that are held on to (`keep`), by the names of their versions."""
        lines = self.git.text("for-each-ref", "--format=%(objectname) %(refname)", REFS).splitlines()
        return {ref.removeprefix(REFS): commit for commit, _, ref in (line.partition(" ") for line in lines)}

    def pointers(self, commit: str) -> list[PointerFile]:
        """The LFS files of a commit that is here; those of them whose pointers were fetched."""
        entries = (record.partition("\t") for record in self.git.fields("ls-tree", "-r", "-z", "--full-tree", commit))
        blobs = [(facts.split()[2], path) for facts, _, path in entries if facts.startswith("100")]
        here = self._without_missing(commit, blobs)
        known = {found.blob: found.pointer for found in read_pointers(self.git, small_blobs(self.git, here))}
        return [PointerFile(path, known[blob], blob) for blob, path in here if blob in known]

    def prune(self, keep: Container[str]) -> None:
        """Forget what none of the versions of those names needs. Raises `GitError`, `WriteError`, `PacksBusy`."""
        for line in self.git.text("for-each-ref", "--format=%(refname)", REFS, "refs/tags").splitlines():
            if not line.startswith(REFS) or line.removeprefix(REFS) not in keep:
                self.git.output("update-ref", "-d", line)
        needed = {file.pointer.oid for commit in set(self.versions().values()) for file in self.pointers(commit)}
        store = self.workspace.store
        gone = [oid for oid, _ in store.ids() if oid not in needed]
        for oid in gone:
            store.remove(oid)
        if store.has_packs and gone:
            store.remove_packed(gone)

    def _without_missing(self, commit: str, blobs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        found = self.git.output("rev-list", "--objects", "--missing=print", "--no-walk", commit).split(b"\n")
        missing = {line[1:].decode() for line in found if line.startswith(b"?")}
        return [(blob, path) for blob, path in blobs if blob not in missing]


def _check_path(path: str) -> None:
    if not _FORBIDDEN.isdisjoint(part.lower() for part in path.split("/")) or ("\\" in path and os.sep == "\\"):
        raise UnsafePath(path, "is no path that may be deployed")


def _unlock(folder: str) -> None:
    """Remove locks of git processes that were killed: with the target's lock held there are no others."""
    for place, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if not (place == folder and name == "lfs") and name not in ("pack", "info")
        ]
        for name in names:
            if name.endswith(".lock"):
                os.unlink(os.path.join(place, name))
