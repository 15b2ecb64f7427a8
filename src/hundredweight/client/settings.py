"""LFS settings, typed, with git-lfs's names and defaults. The table for users is docs/settings.md.

Which server and how to reach it is `transfer`'s to read; here is what decides about files, histories and the local store.
"""

from __future__ import annotations

from hundredweight.git.config import parse_bool
from hundredweight.git.patterns import PathFilter, split_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.git.config import Config

DAY = 86_400


class Settings:
    """Reads `config` and the environment `variables` when asked. A number that is none raises `BadConfigValue`."""

    __slots__ = ("_config", "_variables")

    def __init__(self, config: Config, variables: Mapping[str, str]) -> None:
        self._config = config
        self._variables = variables

    def _variable(self, name: str, default: bool) -> bool:
        return parse_bool(self._variables[name], default) if name in self._variables else default

    def _positive(self, key: str, default: int) -> int:
        """Zero and less mean the default, as in git-lfs."""
        number = self._config.int(key, default)
        return number if number > 0 else default

    # Which paths.

    @property
    def fetch_include(self) -> list[str]:
        return split_list(self._config.get("lfs.fetchinclude"))

    @property
    def fetch_exclude(self) -> list[str]:
        return split_list(self._config.get("lfs.fetchexclude"))

    def path_filter(self, include: str | None = None, exclude: str | None = None) -> PathFilter:
        """What to download and to write: lfs.fetchinclude and lfs.fetchexclude, each replaced by -I or -X where given
        (an empty text clears it)."""
        chosen = self.fetch_include if include is None else split_list(include)
        refused = self.fetch_exclude if exclude is None else split_list(exclude)
        return PathFilter(chosen, refused)

    @property
    def packs(self) -> bool:
        """Whether the clone is to keep versions as deltas. Packs that are there are read in any case."""
        return self._config.bool("hundredweight.packs", False)

    # Recent history, for `fetch --recent` and `prune`.

    @property
    def fetch_recent_always(self) -> bool:
        return self._config.bool("lfs.fetchrecentalways", False)

    @property
    def fetch_recent_refs_days(self) -> int:
        return self._config.int("lfs.fetchrecentrefsdays", 7)

    @property
    def fetch_recent_commits_days(self) -> int:
        return self._config.int("lfs.fetchrecentcommitsdays", 0)

    @property
    def fetch_recent_remote_refs(self) -> bool:
        return self._config.bool("lfs.fetchrecentremoterefs", True)

    @property
    def prune_offset_days(self) -> int:
        return self._config.int("lfs.pruneoffsetdays", 3)

    @property
    def prune_verify_remote_always(self) -> bool:
        return self._config.bool("lfs.pruneverifyremotealways", False)

    @property
    def prune_verify_unreachable_always(self) -> bool:
        return self._config.bool("lfs.pruneverifyunreachablealways", False)

    @property
    def prune_remote(self) -> str:
        return self._config.get("lfs.pruneremotetocheck") or "origin"

    # Transfers.

    @property
    def concurrent_transfers(self) -> int:
        return self._positive("lfs.concurrenttransfers", 8)

    @property
    def basic_transfers_only(self) -> bool:
        return self._config.bool("lfs.basictransfersonly", False)

    @property
    def tus_transfers(self) -> bool:
        return self._config.bool("lfs.tustransfers", False)

    @property
    def skip_download_errors(self) -> bool:
        return self._variable("GIT_LFS_SKIP_DOWNLOAD_ERRORS", False) or self._config.bool(
            "lfs.skipdownloaderrors", False
        )

    @property
    def allow_incomplete_push(self) -> bool:
        return self._config.bool("lfs.allowincompletepush", False)

    @property
    def force_progress(self) -> bool:
        return self._variable("GIT_LFS_FORCE_PROGRESS", False) or self._config.bool("lfs.forceprogress", False)

    # The work tree.

    @property
    def track_installs_hooks(self) -> bool:
        return not self._variable("GIT_LFS_TRACK_NO_INSTALL_HOOKS", False)
