"""`git lfs env`: everything that decides what LFS does in this place, line by line as git-lfs writes it."""

from __future__ import annotations

from hundredweight.client.ext import configured_extensions
from hundredweight.client.settings import Settings
from hundredweight.git.refs import DEFAULT_REMOTE, current_branch, default_push_remote, default_remote, remotes
from hundredweight.transfer.endpoint import Endpoints

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hundredweight.client.workspace import Workspace
    from hundredweight.git.config import Config
    from hundredweight.git.run import Git

# What git-lfs lists, `ssh` too, which comes later: scripts compare this line with git-lfs's own.
_ALWAYS = ("basic", "lfs-standalone-file", "ssh")
_FILTER_KEYS = ("process", "smudge", "clean")


class Surroundings:
    """A clone, or the lack of one: `workspace` is None outside of a repository."""

    def __init__(self, git: Git, config: Config, variables: Mapping[str, str], workspace: Workspace | None) -> None:
        self.config = config
        self._workspace = workspace
        self._variables = variables
        git_dir = workspace.repository.git_dir if workspace is not None else ""
        self._endpoints = Endpoints(config, git, git_dir)
        self._branch = current_branch(git) if workspace is not None else ""

    def lines(self) -> Iterator[str]:
        """The whole report but the versions at its head."""
        yield from self._endpoint_lines()
        yield from self._place_lines()
        yield from self._setting_lines()
        yield from self._server_lines()
        yield from self._chosen_lines()
        yield from (f"{name}={value}" for name, value in self._variables.items() if name.startswith("GIT_"))
        for key in _FILTER_KEYS:
            yield f'git config filter.lfs.{key} = "{self.config.get(f"filter.lfs.{key}")}"'

    def ambiguous_aliases(self) -> list[tuple[str, str]]:
        """(kind, alias) of each prefix that `url.<base>.insteadOf` maps to more than one base."""
        found = []
        for kind in ("insteadof", "pushinsteadof"):
            seen: set[str] = set()
            for base in self.config.subsections("url", kind):
                for alias in dict.fromkeys(self.config.all(f"url.{base}.{kind}")):
                    if alias in seen:
                        found.append((f".{kind}", alias))
                    seen.add(alias)
        return found

    def _endpoint_lines(self) -> Iterator[str]:
        main = default_remote(self.config, self._branch)
        if main == DEFAULT_REMOTE:
            endpoint = self._endpoints.endpoint("download", main)
            if endpoint.url:
                yield f"Endpoint={endpoint.url} (auth={self._endpoints.access(endpoint.url)})"
                if endpoint.ssh_user_and_host:
                    yield f"  SSH={endpoint.ssh_user_and_host}:{endpoint.ssh_path}"
        for remote in remotes(self.config):
            if remote != main or main != DEFAULT_REMOTE:
                endpoint = self._endpoints.endpoint("download", remote)
                yield f"Endpoint ({remote})={endpoint.url} (auth={self._endpoints.access(endpoint.url)})"
                if endpoint.ssh_user_and_host:
                    yield f"  SSH={endpoint.ssh_user_and_host}:{endpoint.ssh_path}"

    def _place_lines(self) -> Iterator[str]:
        space = self._workspace
        yield f"LocalWorkingDir={space.repository.work_tree if space else ''}"
        yield f"LocalGitDir={space.repository.git_dir if space else ''}"
        yield f"LocalGitStorageDir={space.repository.common_dir if space else ''}"
        yield f"LocalMediaDir={space.store.objects if space else 'lfs/objects'}"
        yield f"LocalReferenceDirs={', '.join(space.reference_folders()) if space else ''}"
        yield f"TempDir={space.store.temp if space else 'lfs/tmp'}"

    def _setting_lines(self) -> Iterator[str]:
        settings = Settings(self.config, self._variables)
        values: dict[str, int | str] = {
            "ConcurrentTransfers": settings.concurrent_transfers,
            "TusTransfers": settings.tus_transfers,
            "BasicTransfersOnly": settings.basic_transfers_only,
            "SkipDownloadErrors": settings.skip_download_errors,
            "FetchRecentAlways": settings.fetch_recent_always,
            "FetchRecentRefsDays": settings.fetch_recent_refs_days,
            "FetchRecentCommitsDays": settings.fetch_recent_commits_days,
            "FetchRecentRefsIncludeRemotes": settings.fetch_recent_remote_refs,
            "PruneOffsetDays": settings.prune_offset_days,
            "PruneVerifyRemoteAlways": settings.prune_verify_remote_always,
            "PruneVerifyUnreachableAlways": settings.prune_verify_unreachable_always,
            "PruneRemoteName": settings.prune_remote,
            "LfsStorageDir": self._workspace.lfs_folder if self._workspace else "lfs",
        }
        for name, value in values.items():
            yield f"{name}={str(value).lower() if isinstance(value, bool) else value}"

    def _server_lines(self) -> Iterator[str]:
        download = self._endpoints.endpoint("download", default_remote(self.config, self._branch))
        upload = self._endpoints.endpoint("upload", default_push_remote(self.config, self._branch))
        yield f"AccessDownload={self._endpoints.access(download.url)}"
        yield f"AccessUpload={self._endpoints.access(upload.url)}"
        yield f"DownloadTransfers={','.join(self._transfers('download'))}"
        yield f"UploadTransfers={','.join(self._transfers('upload'))}"

    def _transfers(self, direction: str) -> list[str]:
        settings = Settings(self.config, self._variables)
        if settings.basic_transfers_only:
            return ["basic"]
        names = [*_ALWAYS]
        for section in self.config.subsections("lfs", "path"):
            if section.startswith("customtransfer."):
                chosen = self.config.get(f"lfs.{section}.direction") or "both"
                if chosen.lower() in ("both", direction):
                    names.append(section.removeprefix("customtransfer."))
        if settings.tus_transfers and direction == "upload":
            names.append("tus")
        return sorted(names)

    def _chosen_lines(self) -> Iterator[str]:
        settings = Settings(self.config, self._variables)
        if settings.fetch_exclude:
            yield f"FetchExclude={', '.join(settings.fetch_exclude)}"
        if settings.fetch_include:
            yield f"FetchInclude={', '.join(settings.fetch_include)}"
        for one in configured_extensions(self.config):
            yield f"Extension[{one.priority}]={one.name}"
