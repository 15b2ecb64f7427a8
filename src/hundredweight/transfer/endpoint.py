"""Which URL: from remotes and configuration to the LFS server, as git-lfs finds it (docs/api/server-discovery.md).

Order: `lfs.pushurl` (uploads), `lfs.url`, the remote's `lfspushurl` (uploads), `lfsurl`, its git URL with `.git/info/lfs`
appended; then the same for `origin`; then the URL in FETCH_HEAD. Every URL passes `url.<base>.insteadOf` first.
"""

from __future__ import annotations

import os
from urllib.parse import urlsplit, urlunsplit

from hundredweight.base.trace import trace
from hundredweight.git import urlmatch
from hundredweight.git.refs import DEFAULT_REMOTE
from hundredweight.git.run import GitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hundredweight.git.config import Config
    from hundredweight.git.run import Git

UNKNOWN = "<unknown>"
UPLOAD = "upload"
NO_ACCESS = "none"
_SSH_SCHEMES = ("ssh", "git+ssh", "ssh+git")
_URL_SCHEMES = ("ssh", "http", "https", "git", "file")


class Endpoint:
    """Where an LFS server is. `url` is empty when nothing names one. The `ssh_*` fields are set for an SSH remote, whose
    `url` is then the guessed HTTPS one."""

    __slots__ = ("original_url", "ssh_path", "ssh_port", "ssh_user_and_host", "url")

    def __init__(
        self, url: str, ssh_user_and_host: str = "", ssh_path: str = "", ssh_port: str = "", original_url: str = ""
    ) -> None:
        self.url = url
        self.ssh_user_and_host = ssh_user_and_host
        self.ssh_path = ssh_path
        self.ssh_port = ssh_port
        self.original_url = original_url or url

    @property
    def is_local(self) -> bool:
        """Whether the objects live in another repository on this machine."""
        return self.url.startswith("file://")


class Endpoints:
    """Endpoints and access modes of one clone. The access mode of a URL is none until a server asked for credentials."""

    def __init__(self, config: Config, git: Git, git_dir: str = "") -> None:
        """`git_dir` is where FETCH_HEAD is looked for; empty: nowhere."""
        self.config = config
        self.git = git
        self.git_dir = git_dir
        self._access: dict[str, str] = {}
        self._unproven: set[str] = set()

    def endpoint(self, operation: str, remote: str = DEFAULT_REMOTE) -> Endpoint:
        """The endpoint for `download` or `upload`; its `url` is empty when there is none."""
        for key in ("lfs.pushurl", "lfs.url") if operation == UPLOAD else ("lfs.url",):
            if self.config.has(key):
                return self.from_url(operation, self.config.get(key))
        if remote and remote != DEFAULT_REMOTE:
            found = self.remote_endpoint(operation, remote)
            if found.url:
                return found
        return self.remote_endpoint(operation, DEFAULT_REMOTE)

    def remote_endpoint(self, operation: str, remote: str) -> Endpoint:
        """The endpoint that one remote names, whatever `lfs.url` says."""
        remote = remote or DEFAULT_REMOTE
        for key in ("lfspushurl", "lfsurl") if operation == UPLOAD else ("lfsurl",):
            if self.config.has(f"remote.{remote}.{key}"):
                return self.from_url(operation, self.config.get(f"remote.{remote}.{key}"))
        url = self.git_remote_url(remote, operation == UPLOAD)
        if not url and remote == DEFAULT_REMOTE:
            url, operation = self._fetched_from(), "download"
        return self.from_clone_url(operation, url) if url else Endpoint("")

    def git_remote_url(self, remote: str, push: bool) -> str:
        """The URL that git itself uses; a URL in the place of a name is its own. Empty when there is none."""
        for key in ("pushurl", "url") if push else ("url",):
            if self.config.has(f"remote.{remote}.{key}"):
                return self.config.get(f"remote.{remote}.{key}")
        return remote if remote in self.config.subsections("remote") or _looks_like_url(remote) else ""

    def from_clone_url(self, operation: str, url: str) -> Endpoint:
        """The endpoint that belongs to a git URL."""
        found = self.from_url(operation, url)
        if found.url == UNKNOWN:
            return found
        found.url = found.url.removesuffix("/")
        if not found.is_local:
            found.url += "/info/lfs" if found.url.endswith(".git") else ".git/info/lfs"
        return found

    def from_url(self, operation: str, url: str) -> Endpoint:
        """The endpoint at an LFS URL, after `insteadOf`."""
        url = self.rewrite(operation, url)
        if url.startswith("/"):
            return Endpoint(self._local_url(url))
        scheme = _scheme(url)
        if scheme in _SSH_SCHEMES:
            return _from_ssh_url(url)
        if scheme in ("http", "https", "file"):
            return Endpoint(url)
        if scheme == "git":
            return Endpoint(self.config.get("lfs.gitprotocol", "https") + url[len(scheme) :])
        if scheme and url.startswith(f"{scheme}::"):
            return Endpoint(url)
        if os.path.exists(os.path.join(self.git.folder, url)):
            return Endpoint(self._local_url(url))
        return _from_scp_form(url)

    def rewrite(self, operation: str, url: str) -> str:
        """`url.<base>.pushInsteadOf` (uploads), then `url.<base>.insteadOf`; the longest prefix wins."""
        if operation == UPLOAD:
            pushed = self._replace(url, "pushinsteadof")
            if pushed != url:
                return pushed
        return self._replace(url, "insteadof")

    def access(self, url: str) -> str:
        """The access mode for a URL: none, basic, negotiate, ..."""
        url = without_user(url)
        if url not in self._access:
            mode = urlmatch.value(self.config, "lfs", url, "access").lower()
            self._access[url] = "basic" if mode == "private" else mode or NO_ACCESS
        return self._access[url]

    def set_access(self, url: str, mode: str) -> None:
        """Remember a mode for this command."""
        url = without_user(url)
        trace(f"setting repository access to {mode}")
        self._access[url] = mode
        self._unproven.add(url)

    def keep_access(self, url: str) -> None:
        """A mode that was set has served its purpose: from now on it is in the clone's configuration, so that the next command
        sends credentials at once. Kept any earlier, one false 401 would make a public server ask for a password for ever."""
        url = without_user(url)
        try:
            self._unproven.remove(url)
        except KeyError:
            return
        mode = self._access[url]
        try:
            self.git.output("config", "--local", "--replace-all", f"lfs.{url}.access", mode)
        except GitError as error:
            # Another process holds the configuration's lock, or there is no clone: this command knows the mode anyway.
            trace(f"cannot keep the access mode: {error}")

    def _replace(self, url: str, variable: str) -> str:
        best, base = "", ""
        for candidate in self.config.subsections("url", variable):
            for prefix in self.config.all(f"url.{candidate}.{variable}"):
                if url.startswith(prefix) and len(prefix) > len(best):
                    best, base = prefix, candidate
        return base + url[len(best) :] if best else url

    def _local_url(self, path: str) -> str:
        path = os.path.abspath(os.path.join(self.git.folder, path))
        work_tree = os.path.dirname(path) if os.path.basename(path) == ".git" else path
        inner = os.path.join(work_tree, ".git")
        return f"file://{inner}" if os.path.exists(inner) else f"file://{work_tree}"

    def _fetched_from(self) -> str:
        """The URL of FETCH_HEAD's first line: a clone made without a named remote."""
        if not self.git_dir:
            return ""
        try:
            with open(os.path.join(self.git_dir, "FETCH_HEAD"), encoding="utf-8", errors="surrogateescape") as file:
                return file.readline().rstrip("\n").rpartition("' of ")[2]
        except OSError as error:
            trace(f"failed parsing FETCH_HEAD: {error.strerror}")
            return ""


def without_user(url: str) -> str:
    """The URL without user and password."""
    if "@" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _scheme(url: str) -> str:
    head, colon, _ = url.partition(":")
    plain = head.replace("+", "").replace("-", "").replace(".", "")
    return head.lower() if colon and plain.isalnum() and plain.isascii() and head[0].isalpha() else ""


def _looks_like_url(text: str) -> bool:
    scheme = _scheme(text)
    return scheme in _URL_SCHEMES if scheme else ":" in text


def _from_ssh_url(url: str) -> Endpoint:
    parts = urlsplit(url)
    user, _, address = parts.netloc.rpartition("@")
    host, _, port = address.partition(":")
    if not host or (port and not port.isdigit()):
        return Endpoint(UNKNOWN)
    user = user.partition(":")[0]
    return Endpoint(f"https://{host}{parts.path}", f"{user}@{host}" if user else host, parts.path, port, url)


def _from_scp_form(url: str) -> Endpoint:
    """`user@host:path` and `[user@host:port]:path`, as ssh and scp write them."""
    parts = url.split(":")
    if len(parts) < 2:
        return Endpoint(url)
    if len(parts) > 2:
        parts[0] = parts[0].removeprefix("[")
        parts[1] = parts[1].removesuffix("]")
        address = f"{parts[0]}:{'/'.join(parts[1:])}"
    else:
        address = "/".join(parts)
    found = _from_ssh_url(f"ssh://{address}")
    found.ssh_path = found.ssh_path.removeprefix("/")
    return found
