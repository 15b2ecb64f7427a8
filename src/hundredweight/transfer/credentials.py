"""Where a user name and password come from: netrc, this command's memory, askpass, `git credential`.

In that order, as in git-lfs; the first that knows an answer gives it. `approve` after a request succeeded with it and
`reject` after a 401 keep every source honest. Nothing here shows a secret: traces name protocol, host and path only.
"""

from __future__ import annotations

import re
import subprocess
import threading
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.base.trace import trace
from hundredweight.git import urlmatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hundredweight.git.config import Config
    from hundredweight.git.run import Git

CAPABILITIES = ("authtype", "state")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')


class CredentialsMissing(CwtError):
    """Nobody knows credentials for `url`."""

    hint = "run the command where git can ask for a password, or give git a credential helper ('git config credential.helper')"

    def __init__(self, url: str, reason: str = "") -> None:
        super().__init__(f"Git credentials for {url} not found" + (f":\n{reason}" if reason else "."))
        self.url = url


class UnsafeCredential(UsageError):
    """A value that would break git credential's line format, and might say something else to a helper."""

    def __init__(self, key: str, what: str, value: str, hint: str = "") -> None:
        super().__init__(f"credential value for {key} contains {what}: {value!r}", hint=hint)


class Credential:
    """What one source said: git credential's keys, each with its values in order. `source` is netrc, askpass or git, `key` what
    was asked for."""

    __slots__ = ("key", "source", "values")

    def __init__(self, values: Mapping[str, list[str]], source: str, key: str) -> None:
        self.values = dict(values)
        self.source = source
        self.key = key

    def first(self, key: str) -> str:
        found = self.values.get(key)
        return found[0] if found else ""

    @property
    def continues(self) -> bool:
        """The helper wants to be asked again with the server's answer (a multi-stage scheme)."""
        return self.first("continue") in ("1", "true")

    @property
    def authorization(self) -> tuple[str, str]:
        """Scheme and either a ready credential (scheme set) or user and password as one text (scheme empty)."""
        if self.first("authtype") or self.first("credential"):
            return self.first("authtype"), self.first("credential")
        return "", f"{self.first('username')}:{self.first('password')}"


class CredentialSource:
    """All sources behind one door. Thread-safe: one fill at a time, so that a user is asked once."""

    def __init__(self, config: Config, git: Git, variables: Mapping[str, str]) -> None:
        self._config = config
        self._git = git
        self._variables = variables
        self._remember = config.bool("lfs.cachecredentials", True)
        self._memory: dict[str, Credential] = {}
        self._netrc_refused: set[str] = set()
        self._lock = threading.RLock()
        self.www_authenticate: list[str] = []
        self.state: list[str] = []

    def fill(self, url: str) -> Credential:
        """Credentials for a URL (its user name, if any, narrows the search). Raises `CredentialsMissing`."""
        query = self._query(url)
        with self._lock:
            found = self._from_netrc(query) or self._from_memory(query)
            reason = ""
            if (
                found is None
                and self._askpass_program()
                and not urlmatch.value(self._config, "credential", url, "helper")
            ):
                try:
                    found = self._from_askpass(query)
                except CwtError as error:
                    trace(f"credential fill error: {error}")
                    reason = f"credential fill errors:\n{error}"
            if found is None:
                try:
                    found = self._from_git(query, url)
                except CwtError as error:
                    trace(f"credential fill error: {error}")
                    reason = f"{reason or 'credential fill errors:'}\n{error}"
        if found is None or not found.values:
            raise CredentialsMissing(_public(url), reason)
        return found

    def approve(self, credential: Credential) -> None:
        """The server accepted it: let its source keep it, once."""
        with self._lock:
            if credential.source == "netrc":
                trace(f"netrc: git credential approve ({_describe(credential.values)})")
                self._netrc_refused.discard(_host_name(credential.first("host")))
                return
            if self._remember:
                if credential.key in self._memory:
                    return
                self._memory[credential.key] = credential
            if credential.source == "git":
                trace(f"creds: git credential approve ({_describe(credential.values)})")
                self._run("approve", credential.values)

    def reject(self, credential: Credential) -> None:
        """The server refused it: let its source forget it."""
        with self._lock:
            if credential.source == "netrc":
                trace(f"netrc: git credential reject ({_describe(credential.values)})")
                self._netrc_refused.add(_host_name(credential.first("host")))
                return
            self._memory.pop(credential.key, None)
            if credential.source == "git":
                self._run("reject", credential.values)

    def pass_phrase(self, path: str) -> Credential:
        """What opens an encrypted client key, as `password`; to be approved or rejected. Raises `CredentialsMissing`."""
        query = {"protocol": ["cert"], "host": [""], "path": [path], "username": [""]}
        found = self._from_git(query, f"cert:///{path}")
        if found is None or not found.first("password"):
            raise CredentialsMissing(f"cert:///{path}")
        # Git leaves out empty fields, and takes nothing back without them.
        return Credential({**query, **found.values}, found.source, found.key)

    def _query(self, url: str) -> dict[str, list[str]]:
        parts = urlsplit(url)
        query = {"protocol": [parts.scheme], "host": [parts.netloc.rpartition("@")[2]]}
        if parts.username:
            query["username"] = [unquote(parts.username)]
        if urlmatch.flag(self._config, "credential", url, "usehttppath", False):
            query["path"] = [unquote(parts.path.removeprefix("/"))]
        if self.www_authenticate and not urlmatch.flag(self._config, "credential", url, "skipwwwauth", False):
            query["wwwauth[]"] = list(self.www_authenticate)
        if self.state:
            query["state[]"] = list(self.state)
        return query

    def _from_memory(self, query: Mapping[str, list[str]]) -> Credential | None:
        found = self._memory.get(_key(query))
        if found is not None:
            trace(f"creds: git credential cache ({_describe(query)})")
        return found

    def _from_netrc(self, query: Mapping[str, list[str]]) -> Credential | None:
        home = self._variables.get("HOME", "")
        host = _host_name(_first(query, "host"))
        if not home or host in self._netrc_refused:
            return None
        found = _find_machine(f"{home}/.netrc", host, _first(query, "username"))
        if found is None:
            return None
        user, password = found
        described = f'"{_first(query, "protocol")}", "{_first(query, "host")}", "{user}", "{_first(query, "path")}"'
        trace(f"netrc: git credential fill ({described})")
        values = {"username": [user], "password": [password], "protocol": query["protocol"], "host": query["host"]}
        return Credential({**values, **({"path": query["path"]} if "path" in query else {})}, "netrc", _key(query))

    def _askpass_program(self) -> str:
        for value in (self._variables.get("GIT_ASKPASS"), self._config.get("core.askpass") or None):
            if value is not None:
                return value
        return self._variables.get("SSH_ASKPASS", "")

    def _from_askpass(self, query: Mapping[str, list[str]]) -> Credential:
        host, path = _first(query, "host"), _first(query, "path")
        protocol = _first(query, "protocol")
        place = f"{host}/{path}" if path else host
        user = _first(query, "username") or self._ask(f'Username for "{protocol}://{place}"')
        password = self._ask(
            f'Password for "{protocol}://{user}@{place}"' if user else f'Password for "{protocol}://{place}"'
        )
        return Credential({**query, "username": [user], "password": [password]}, "askpass", _key(query))

    def _ask(self, prompt: str) -> str:
        program = self._askpass_program()
        trace(f"creds: filling with GIT_ASKPASS: {program} {prompt}")
        try:
            done = subprocess.run([program, prompt], env=self._git.env, capture_output=True, check=False)
        except OSError as error:
            trace(f"creds: failed to find GIT_ASKPASS command: {program}")
            raise CwtError(f"cannot run '{program}': {error.strerror}") from error
        if done.returncode or done.stderr:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise CwtError(said or f"'{program}' failed: exit status {done.returncode}")
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    def _from_git(self, query: Mapping[str, list[str]], url: str) -> Credential | None:
        trace(f"creds: git credential fill ({_describe(query)})")
        values = self._run(
            "fill", query, protect=urlmatch.flag(self._config, "credential", url, "protectprotocol", True)
        )
        return Credential(values, "git", _key(query)) if values else None

    def _run(self, verb: str, query: Mapping[str, list[str]], *, protect: bool = False) -> dict[str, list[str]]:
        """One `git credential`. Its stderr is the user's: git's prompts and helpers' words go there, and a cache daemon that a
        helper starts keeps it open, so it must not be a pipe that somebody waits for."""
        lines = [f"capability[]={name}\n" for name in CAPABILITIES]
        for key, values in query.items():
            lines += [f"{key}={_checked(key, value, protect)}\n" for value in values]
        with self._git.popen("credential", verb, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            out, _ = process.communicate("".join(lines).encode("utf-8", "surrogateescape"))
        if process.returncode:
            return self._explain(verb, query, process.returncode)
        found: dict[str, list[str]] = {}
        for line in out.decode("utf-8", "surrogateescape").split("\n"):
            key, equals, value = line.partition("=")
            if equals and value:
                found.setdefault(key, []).append(value)
        return found

    def _explain(self, verb: str, query: Mapping[str, list[str]], code: int) -> dict[str, list[str]]:
        if self._variables.get("GIT_TERMINAL_PROMPT", "").lower() in ("1", "true", "yes", "on"):
            place = f"{_first(query, 'protocol')}://{_first(query, 'host')}"
            raise CwtError(
                f"change the GIT_TERMINAL_PROMPT env var to be prompted to enter your credentials for {place}"
            )
        if verb == "fill" and code == 128:
            return {}
        raise CwtError(f"`git credential {verb}` error: exit status {code}")


def _first(values: Mapping[str, list[str]], key: str) -> str:
    found = values.get(key)
    return found[0] if found else ""


def _key(values: Mapping[str, list[str]]) -> str:
    return "//".join(_first(values, key) for key in ("protocol", "host", "path"))


def _describe(values: Mapping[str, list[str]]) -> str:
    return ", ".join(f'"{_first(values, key)}"' for key in ("protocol", "host", "path"))


def _host_name(host: str) -> str:
    return host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host


def _public(url: str) -> str:
    parts = urlsplit(url)
    name = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=name + parts.netloc.rpartition("@")[2]).geturl()


def _checked(key: str, value: str, protect: bool) -> str:
    if "\n" in value:
        raise UnsafeCredential(key, "newline", value)
    if protect and "\r" in value:
        raise UnsafeCredential(
            key, "carriage return", value, "if this is intended, set `credential.protectProtocol=false`"
        )
    if "\0" in value:
        raise UnsafeCredential(key, "null byte", value)
    return value


def _find_machine(path: str, host: str, user: str) -> tuple[str, str] | None:
    """Login and password of the machine (and user, when one is wanted) in a netrc file; `default` matches any machine."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            words = _words(_without_macros(file.read()))
    except FileNotFoundError:
        return None
    except OSError as error:
        trace(f"bad netrc file {path}: {error}")
        return None
    default: tuple[str, str] | None = None
    for machine, fields in _machines(words):
        found = fields.get("login", ""), fields.get("password", "")
        if user and found[0] != user:
            continue
        if machine == host:
            return found
        if machine == "" and default is None:
            default = found
    return default


def _words(text: str) -> list[str]:
    """Blank-separated words, maybe in double quotes; `#` begins a comment, except in a password."""
    found: list[str] = []
    for line in text.split("\n"):
        for match in _WORD.finditer(line):
            quoted, plain = match.groups()
            if plain and plain.startswith("#") and found[-1:] != ["password"]:
                break
            found.append(plain or re.sub(r"\\(.)", r"\1", quoted or ""))
    return found


def _machines(words: list[str]) -> list[tuple[str, dict[str, str]]]:
    found: list[tuple[str, dict[str, str]]] = []
    rest = iter(words)
    for word in rest:
        if word == "machine":
            found.append((next(rest, ""), {}))
        elif word == "default":
            found.append(("", {}))
        elif found:
            found[-1][1][word] = next(rest, "")
    return found


def _without_macros(text: str) -> str:
    """netrc's `macdef` runs to the next empty line; its commands are no credentials."""
    kept, skipping = [], False
    for line in text.split("\n"):
        skipping = line.startswith("macdef") or (skipping and bool(line.strip()))
        if not skipping:
            kept.append(line)
    return "\n".join(kept)
