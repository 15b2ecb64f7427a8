"""One HTTP dialogue: request, redirects, response, errors in the words of git-lfs. urllib3 is imported with this module only.

`Exchange.send` gives a response below 400 or raises: `HttpError` for the server's refusal, `ConnectionFailed` for what went wrong
on the way. Bodies are read as streams; `Response.content` is for small ones and bounded.
"""

from __future__ import annotations

import json
import ssl
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from urllib3 import HTTPHeaderDict
from urllib3.exceptions import (
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)
from urllib3.exceptions import (
    TimeoutError as UrllibTimeout,
)

from hundredweight import __version__
from hundredweight.base import trace as tracing
from hundredweight.base.errors import RemoteError
from hundredweight.base.trace import trace
from hundredweight.git import urlmatch
from hundredweight.protocol.message import MAX_BODY, BadMessage, parse_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from urllib.parse import SplitResult

    from urllib3.response import BaseHTTPResponse

    from hundredweight.base.clock import Clock
    from hundredweight.git.config import Config
    from hundredweight.protocol.message import ErrorBody
    from hundredweight.transfer.pools import FileBody, Pools

USER_AGENT = f"git-lfs/{__version__} (hundredweight)"
MAX_REDIRECTS = 3
MAX_ERROR_BODY = 1 << 20
_REDIRECTS = (301, 302, 303, 307, 308)
_TEXT_TYPES = ("json", "text", "xml", "html")
_ACCESS_HINT = "Check that you have proper access to the repository"
_REASONS = {
    400: "Client error: {url}",
    401: "Authorization error: {url}\n" + _ACCESS_HINT,
    403: "Authorization error: {url}\n" + _ACCESS_HINT,
    404: "Repository or object not found: {url}\nCheck that it exists and that you have proper access to it",
    422: "Unprocessable entity: {url}",
    429: "Rate limit exceeded: {url}",
    500: "Server error: {url}",
    501: "Not Implemented: {url}",
    507: "Insufficient server storage: {url}",
    509: "Bandwidth limit exceeded: {url}",
}
_HINTS = {
    401: "check the user name and the password or token: the server did not take them",
    403: "ask the server's owner for the right to do this, or use another account or token",
    404: "check the URL ('git lfs env' shows it), that the object was pushed, and that you may read it",
    409: "run the command again; if it fails again, ask the server's owner",
    410: "the server has lost or removed it; run 'git lfs push --all' in a clone that has it",
    413: "the server does not take so much at once; ask its owner to raise the limit",
    422: "run 'git lfs fsck' to see whether the local copy is whole",
    429: "wait a while and run the command again; what was complete stays",
    507: "the server's disk is full; run the command again when its owner has freed some space",
    509: "the server's quota is used up; run the command again when it has been raised",
}
_HINT_CLIENT = "check the server's URL; 'git lfs env' shows it"
_HINT_SERVER = "the fault is the server's: run the command again later; what was complete stays"
_HINT_AGAIN = "run the command again when the server can be reached; what was complete stays"
_HINT_AUTHORITY = "set 'http.sslCAInfo' to the authority's certificate with 'git config'"
_HINT_NAME = "use the name that the certificate is for in the URL"
_HINTS_CERTIFICATE = {
    10: "the server's certificate has expired: ask its owner for a new one, and check this machine's clock",
    62: _HINT_NAME,
    64: _HINT_NAME,
}
"""By OpenSSL's number of what is wrong with a server's certificate."""
_HINT_IDENTIFY = (
    "if it wants a client certificate, set 'http.sslCert' and 'http.sslKey' with 'git config' to one that it knows"
)
_NOT_FATAL = (501, 507, 509)


class HttpError(RemoteError):
    """The server refused: `status`, `url`, its own words (`body`) if it gave some, `reason` (those, else what the status means),
    and `retry_after`, the moment (seconds since 1970) before which it wants no second try. `advised`: the hint is its own."""

    def __init__(
        self, status: int, url: str, body: ErrorBody | None, retry_after: float | None, challenges: list[str]
    ) -> None:
        self.reason = message = body.message if body else describe_status(status, url)
        if status == 401:
            message = f"Authentication required: {message}"
        elif status > 499 and status not in _NOT_FATAL:
            message = f"Fatal error: {message}"
        own_hint = body.hint if body else ""
        super().__init__(
            message, hint=own_hint or describe_remedy(status), temporary=status in (408, 429, 500, 502, 503, 504)
        )
        self.status = status
        self.advised = bool(own_hint)
        self.url = url
        self.body = body
        self.retry_after = retry_after
        self.challenges = challenges


class ConnectionFailed(RemoteError):
    """The dialogue broke: no connection, silence, or an answer cut short. `established` says whether the server was reached."""

    hint = _HINT_AGAIN

    def __init__(
        self, method: str, url: str, reason: str, *, hint: str = "", temporary: bool = True, established: bool
    ) -> None:
        super().__init__(f'{method.title()} "{_public(url)}": {reason}', hint=hint, temporary=temporary)
        self.url = url
        self.reason = reason
        self.established = established


class BadRedirect(RemoteError):
    """The server sent us somewhere that we do not go."""


class NotJson(RemoteError):
    """The server answered with something else than JSON: a login page, a proxy's page, or a broken body."""

    hint = "check that the URL is an LFS server's and no proxy is in the way; 'git lfs env' shows it"


class Request:
    """What to send. `headers` may be changed until it is sent. `operation` is what the server is used for, download or upload."""

    __slots__ = ("body", "headers", "method", "operation", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | FileBody | None = None,
        operation: str = "download",
    ) -> None:
        if check_url(url).scheme not in ("http", "https"):
            raise BadRedirect(f'missing protocol: "{url.partition("?")[0]}"')
        self.method = method
        self.url = url
        self.headers = HTTPHeaderDict(headers or {})
        self.body = body
        self.operation = operation

    @property
    def is_authorized(self) -> bool:
        return bool(self.headers.get("Authorization")) or "token=" in urlsplit(self.url).query


class Response:
    """A response below 400. Close it (or use it as a context), else its connection is lost to the pool."""

    def __init__(self, request: Request, raw: BaseHTTPResponse) -> None:
        self.request = request
        self.status = raw.status
        self.headers = raw.headers
        self._raw = raw
        self._traced = is_text(raw.headers.get("Content-Type", ""))
        self._decode = raw.headers.get("Content-Encoding", "identity").lower() != "identity"

    @property
    def length(self) -> int | None:
        """The body's length as the server announced it; None when it did not, or when the body is encoded."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() and not self._decode else None

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; empty at the end. Raises `ConnectionFailed` when the body ends before its announced length."""
        try:
            data = self._raw.read(count, decode_content=self._decode)
        except (HTTPError, OSError) as error:
            raise broken(self.request.method, self.request.url, error) from error
        if self._traced and data:
            _trace_body(data)
        return data

    def lines(self, limit: int) -> Iterator[bytes]:
        """The body's lines, each as soon as it is there. Raises `BadMessage` for one longer than `limit`, `ConnectionFailed`."""
        pending = b""
        while True:
            try:
                data = self._raw.read1(64 << 10, decode_content=self._decode)
            except (HTTPError, OSError) as error:
                raise broken(self.request.method, self.request.url, error) from error
            *lines, pending = (pending + data).split(b"\n")
            yield from lines
            if len(pending) > limit:
                raise BadMessage("response", f"a line is longer than {limit} bytes")
            if not data:
                if pending:
                    yield pending
                return

    def content(self, limit: int = MAX_BODY) -> bytes:
        """The whole body. Raises `BadMessage` when it is longer than `limit`."""
        parts: list[bytes] = []
        size = 0
        while data := self.read(64 << 10):
            size += len(data)
            if size > limit:
                self.close()
                raise BadMessage("response", f"longer than {limit} bytes")
            parts.append(data)
        self._raw.release_conn()
        return b"".join(parts)

    def json_content(self) -> bytes:
        """The whole body, checked to be JSON by type and content. Raises `NotJson`."""
        kind = self.headers.get("Content-Type", "")
        if not is_json(kind):
            self.close()
            raise NotJson(f'Expected JSON type, got: "{kind}"')
        data = self.content()
        try:
            json.loads(data)
        except (ValueError, RecursionError) as error:
            where = f"{self.request.method} {_public(self.request.url)}"
            raise NotJson(f"Unable to parse HTTP response for {where}: {error}") from error
        return data

    def close(self) -> None:
        """Give the connection back if the body was read to its end, else drop it."""
        if self._raw.closed:
            self._raw.release_conn()
        else:
            self._raw.close()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class Exchange:
    """Sends requests over `pools`, with extra headers and cookies of git's configuration, and traces what is said."""

    def __init__(self, pools: Pools, config: Config, variables: Mapping[str, str], clock: Clock) -> None:
        self._pools = pools
        self._config = config
        self._clock = clock
        self._show_secrets = bool(variables.get("LFS_DEBUG_HTTP"))

    def send(self, request: Request) -> Response:
        """One request and its answer, 3xx included. Raises `HttpError`, `ConnectionFailed`."""
        raw = self._ask(request)
        response = Response(request, raw)
        if "Content-Encoding" in raw.headers:
            trace("http: decompressed gzipped response")
        trace(f"HTTP: {raw.status}")
        self._show_response(raw)
        if raw.status >= 400:
            raise self._refusal(response)
        return response

    def redirect(self, response: Response) -> Request | None:
        """The request that a redirect asks for; None when the response is none. Credentials stay with their host."""
        location = response.headers.get("Location", "")
        if response.status not in _REDIRECTS or not location:
            return None
        response.close()
        old = response.request
        check_url(location)
        target = urljoin(old.url, location)
        if urlsplit(old.url).scheme == "https" and urlsplit(target).scheme == "http":
            raise BadRedirect("refusing insecure redirect: HTTPS to HTTP")
        new = Request(old.method, target, body=old.body, operation=old.operation)
        new.headers = old.headers.copy()
        if urlsplit(old.url).netloc != urlsplit(target).netloc:
            new.headers.discard("Authorization")
            new.headers.discard("Cookie")
        trace(f"api: redirect {old.method} {_public(old.url)} to {_public(target)}")
        return new

    def prepare(self, request: Request) -> None:
        """Add what the configuration wants on every request to this URL; harmless twice."""
        request.headers["User-Agent"] = urlmatch.value(self._config, "http", request.url, "useragent", USER_AGENT)
        if "Range" not in request.headers:
            request.headers["Accept-Encoding"] = "gzip"
        authorized = "Authorization" in request.headers
        extra = HTTPHeaderDict()
        for line in urlmatch.values(self._config, "http", request.url, "extraheader"):
            name, colon, value = line.partition(":")
            # An action's own authorization stands alone: a second one makes presigned URLs fail.
            if colon and not (authorized and name.lower() == "authorization"):
                extra.add(name.strip(), value.strip())
        for name in extra:
            request.headers.discard(name)
        request.headers.extend(extra)
        if cookie := self._pools.cookie_header(request.url):
            request.headers["Cookie"] = cookie

    def _ask(self, request: Request) -> BaseHTTPResponse:
        if tracing.enabled():
            trace(f"HTTP: {request.method} {_public(request.url)}")
        self._show_request(request)
        body = request.body
        headers = request.headers.copy()
        chunked = False
        if body is not None and not isinstance(body, bytes):
            chunked = body.chunked
            headers.discard("Transfer-Encoding")
            if not chunked:
                headers["Content-Length"] = str(body.size)
        # A proxy for plain HTTP wants the whole URL; through a tunnel, and to the server itself, only the path goes.
        forwarded = request.url.startswith("http:") and self._pools.proxy(request.url).startswith("http")
        target = request.url if forwarded else _target(request.url)
        try:
            return self._pools.pool(request.url).urlopen(
                request.method,
                target,
                body=body,  # type: ignore[arg-type]
                headers=headers,
                chunked=chunked,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
                assert_same_host=False,
            )
        except (HTTPError, OSError) as error:
            raise broken(request.method, request.url, error) from error

    def _refusal(self, response: Response) -> HttpError:
        body: ErrorBody | None = None
        try:
            data = response.content(MAX_ERROR_BODY)
            # An HTML page is for browsers; the status says more in one line.
            body = parse_error(data) if is_json(response.headers.get("Content-Type", "")) else None
        except RemoteError as error:
            trace(f"HTTP: error body: {error}")
        if body is not None and body.request_id:
            trace(f"Server Request ID: {body.request_id}")
        challenges = [
            *response.headers.getlist("LFS-Authenticate"),
            *response.headers.getlist("WWW-Authenticate"),
        ]
        when = parse_retry_after(response.headers.get("Retry-After", ""), self._clock.now())
        return HttpError(response.status, response.request.url, body, when, challenges)

    def _show_request(self, request: Request) -> None:
        if not tracing.http_enabled():
            return
        lines = [
            f"{request.method} {_target(request.url)} HTTP/1.1",
            f"Host: {urlsplit(request.url).netloc.rpartition('@')[2]}",
        ]
        body = request.body
        size = len(body) if isinstance(body, bytes) else body.size if body is not None else 0
        headers = sorted(request.headers.items())
        if body is not None and "Content-Length" not in request.headers:
            headers.append(("Content-Length", str(size)))
        lines += [f"{name}: {value}" for name, value in headers]
        shown = "".join(f"> {self._veil(line)}\n" for line in [*lines, ""])
        if isinstance(body, bytes) and is_text(request.headers.get("Content-Type", "")):
            shown += body.decode("utf-8", "replace")
        tracing.http(shown)

    def _show_response(self, raw: BaseHTTPResponse) -> None:
        if not tracing.http_enabled():
            return
        status = f"HTTP/{raw.version // 10}.{raw.version % 10} {raw.status} {raw.reason or ''}".rstrip()
        lines = [status, *(f"{name}: {value}" for name, value in sorted(raw.headers.items())), ""]
        before = "\n\n" if is_text(raw.headers.get("Content-Type", "")) else "\n"
        tracing.http(before + "".join(f"< {self._veil(line)}\n" for line in lines))

    def _veil(self, line: str) -> str:
        name, _, value = line.partition(": ")
        if self._show_secrets or name.lower() not in ("authorization", "proxy-authorization", "cookie", "set-cookie"):
            return line
        scheme = value.partition(" ")[0] if "authorization" in name.lower() else ""
        return f"{name}: {scheme} * * * * *" if scheme else f"{name}: * * * * *"


def check_url(url: str) -> SplitResult:
    """The URL's parts. Raises `BadRedirect` for what is no URL: a remote, `.lfsconfig` or a server may say anything."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        shown = url.partition("?")[0].rpartition("@")[2]
        raise BadRedirect(f"not a URL: '{shown}': {str(error).lower()}", hint=_HINT_CLIENT) from error
    return parts


def describe_status(status: int, url: str) -> str:
    """What a refusal means when the server gives no message of its own."""
    if status in _REASONS:
        return _REASONS[status].format(url=_public(url))
    return f"{'Client' if status < 500 else 'Server'} error {_public(url)} from HTTP {status}"


def describe_remedy(status: int) -> str:
    """What to do about a refusal when the server does not say it."""
    return _HINTS.get(status) or (_HINT_CLIENT if status < 500 else _HINT_SERVER)


def parse_retry_after(text: str, now: float) -> float | None:
    """The moment that a Retry-After header names: whole seconds from now, or an HTTP date."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return now + int(text)
    try:
        return parsedate_to_datetime(text).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def broken(method: str, url: str, error: BaseException) -> ConnectionFailed:
    """The foreign exception of a dialogue as ours, with the innermost reason in plain words."""
    cause: BaseException = error
    seen = {id(cause)}
    while (inner := _inner(cause)) is not None and id(inner) not in seen:
        seen.add(id(inner))
        cause = inner
    # urllib3 counts a refused connection among the time-outs.
    established = not isinstance(error, (NewConnectionError, ProxyError))
    if isinstance(cause, ssl.SSLCertVerificationError):
        reason = f"certificate of {urlsplit(url).hostname} not trusted: {cause.verify_message}"
        hint = _HINTS_CERTIFICATE.get(cause.verify_code, _HINT_AUTHORITY)
        return ConnectionFailed(method, url, reason, hint=hint, temporary=False, established=False)
    if isinstance(cause, ssl.SSLError) and "_ALERT_" in (alert := cause.reason or ""):
        reason = f"the server refused the TLS connection: {alert.partition('_ALERT_')[2].replace('_', ' ').lower()}"
        return ConnectionFailed(method, url, reason, hint=_HINT_IDENTIFY, temporary=False, established=False)
    hint = ""
    if isinstance(error, NameResolutionError):
        reason = f"no such host '{urlsplit(url).hostname}'"
    elif isinstance(error, (UrllibTimeout, TimeoutError)) and established:
        reason = "the server does not answer (see lfs.dialtimeout and lfs.activitytimeout)"
    elif isinstance(cause, ssl.SSLEOFError):
        # While something was sent to it: a proxy that was restarted, or, with TLS 1.3, one that we did not identify ourselves to.
        reason = "the server closed the connection"
        hint = f"run the command again; {_HINT_IDENTIFY}"
    elif isinstance(cause, OSError) and cause.strerror:
        reason = cause.strerror.lower()
    else:
        reason = str(cause) or type(cause).__name__
    if isinstance(error, ProxyError):
        reason = f"proxy: {reason}"
    temporary = isinstance(cause, ssl.SSLEOFError) or not isinstance(error, SSLError)
    return ConnectionFailed(method, url, reason, hint=hint, established=established, temporary=temporary)


def is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def is_text(content_type: str) -> bool:
    """Whether a body of this type is shown in traces."""
    kind = content_type.partition(";")[0].lower()
    return any(word in kind for word in _TEXT_TYPES)


def _inner(error: BaseException) -> BaseException | None:
    """What an exception wraps: its cause, or (urllib3's ProtocolError, SSLError) an exception among its arguments."""
    wrapped = next((arg for arg in reversed(error.args) if isinstance(arg, BaseException)), None)
    return wrapped or error.__cause__ or error.__context__


def _trace_body(data: bytes) -> None:
    if tracing.enabled() or tracing.http_enabled():
        text = data.decode("utf-8", "replace")
        trace(f"HTTP: {text}")
        tracing.http(text)


def _target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _public(url: str) -> str:
    """The URL as it may be shown: without credentials and without its query, where presigned URLs keep their signature."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
