"""Serve digit recognition over HTTP from a weights file.

    GET  /healthz   {"status": "ok"}
    GET  /version   {"sha256", "size", "parameters", "test_accuracy"} of the weights that answer
    POST /predict   {"pixels": [64 numbers 0..16]}  ->  {"digit": 7, "probability": 0.98};
                    a list of such images           ->  a list of such answers, in order

Every refusal is {"error": "..."} with status 4xx or 501. The weights are read once, at the start. SIGTERM and
SIGINT end the service after the requests in progress, with exit code 0.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import socketserver
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from network import (
    PIXEL_MAX,
    PIXELS,
    DigitsError,
    Floats,
    Weights,
    load,
    parameter_count,
    probabilities,
    scale,
)

MAX_BODY = 1 << 20
"""Bytes of a request body; some 7,000 images."""
MAX_DISCARD = 16 << 20
"""Bytes of a refused body that are read and dropped, so that the client gets to see the answer."""
GRACE = 5.0
"""Seconds that requests in progress get when the service ends."""


class RequestError(Exception):
    """The request cannot be answered, by the client's fault; `status` is the HTTP status."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def version(weights: Weights) -> dict[str, Any]:
    """Return what identifies the weights; `test_accuracy` (0..1) is null when the file does not record it."""
    recorded = weights.training.get("test_accuracy")
    return {
        "sha256": weights.sha256,
        "size": weights.size,
        "parameters": parameter_count(weights.layers),
        "test_accuracy": recorded if isinstance(recorded, float | int) else None,
    }


def predict(weights: Weights, body: bytes) -> dict[str, Any] | list[dict[str, Any]]:
    """Answer the JSON body of a prediction request; raises RequestError (400) on anything but images."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
    images = request if isinstance(request, list) else [request]
    if not images:
        return []
    chances = probabilities(weights.layers, read_images(images))
    answers = [{"digit": int(row.argmax()), "probability": round(float(row.max()), 6)} for row in chances]
    return answers if isinstance(request, list) else answers[0]


def read_images(images: list[Any]) -> Floats:
    """Return scaled images (n, 64) from decoded JSON; raises RequestError (400), naming the first bad one."""
    for index, image in enumerate(images):
        pixels = image.get("pixels") if isinstance(image, dict) else None
        if not isinstance(pixels, list) or len(pixels) != PIXELS or not all(map(is_pixel, pixels)):
            message = f'image {index} is not {{"pixels": [{PIXELS} numbers 0..{PIXEL_MAX}]}}'
            raise RequestError(HTTPStatus.BAD_REQUEST, message)
    return scale(np.array([image["pixels"] for image in images], dtype=np.float32))


def is_pixel(value: Any) -> bool:
    """Tell whether a decoded JSON value is a number 0..16 (NaN and booleans are not)."""
    return isinstance(value, float | int) and not isinstance(value, bool) and 0 <= value <= PIXEL_MAX


class Server(ThreadingHTTPServer):
    """One thread per connection; `verbose` logs each request on stderr."""

    # Threads that wait for a client to speak must not hold up the end; `wait_for_answers` is for the others.
    daemon_threads = True

    def __init__(self, address: tuple[str, int], weights: Weights, *, verbose: bool) -> None:
        self.weights = weights
        self.verbose = verbose
        self._answering = 0
        self._changed = threading.Condition()
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's look-up of the host's full name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def count_answers(self, change: int) -> None:
        """Note that a request has begun (1) or was answered (-1)."""
        with self._changed:
            self._answering += change
            self._changed.notify_all()

    def wait_for_answers(self, seconds: float) -> None:
        """Return when no request is in progress, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._answering, seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print the traceback of a fault of ours; a client that went away is none."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answer one request, then close the connection (HTTP/1.0)."""

    server: Server
    server_version = "digits"
    timeout = 10

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.server.count_answers(1)
        try:
            self._send(HTTPStatus.OK, self._route())
        except RequestError as error:
            self.send_error(error.status, str(error))
        finally:
            self.server.count_answers(-1)

    def _route(self) -> Any:
        """Return the JSON value that answers the request; raises RequestError."""
        path = self.path.partition("?")[0]
        method = {"/healthz": "GET", "/version": "GET", "/predict": "POST"}.get(path)
        if method is None:
            raise RequestError(HTTPStatus.NOT_FOUND, f"no such path '{path}'")
        if method != self.command:
            raise RequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"'{path}' takes {method} only")
        if path == "/predict":
            return predict(self.server.weights, self._read_body())
        return version(self.server.weights) if path == "/version" else {"status": "ok"}

    def _read_body(self) -> bytes:
        """Return the body; raises RequestError when its length is missing, wrong or above the limit."""
        text = self.headers.get("Content-Length")
        if text is None:
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "the request has no Content-Length")
        if not (text.isascii() and text.isdigit()):
            raise RequestError(HTTPStatus.BAD_REQUEST, "Content-Length is not a number")
        if len(text) > 18 or int(text) > MAX_BODY:
            message = f"the body is larger than {MAX_BODY} bytes"
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)
        body = self.rfile.read(int(text))
        if len(body) != int(text):
            raise RequestError(HTTPStatus.BAD_REQUEST, "the body is shorter than its Content-Length")
        return body

    def _discard(self) -> None:
        """Take what the client still sends: closing on unread bytes resets the connection, answer and all."""
        self.connection.shutdown(socket.SHUT_WR)
        for _ in range(MAX_DISCARD // 65536):
            if not self.rfile.read1(65536):
                return

    def _send(self, status: int, value: Any) -> None:
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in JSON; the base class calls this too (unknown method, malformed request)."""
        self._send(code, {"error": message or explain or HTTPStatus(code).phrase})
        self._discard()

    def log_message(self, format: str, *args: Any) -> None:
        """Log to stderr, if asked to."""
        if self.server.verbose:
            super().log_message(format, *args)


def serve(server: Server) -> None:
    """Serve until KeyboardInterrupt is raised in this thread, then finish the requests in progress."""
    host, port = server.server_address[:2]
    print(f"listening on http://{host!s}:{port}", flush=True)
    try:
        server.serve_forever(poll_interval=0.1)
    except KeyboardInterrupt:
        server.server_close()
        server.wait_for_answers(GRACE)


def listen(args: argparse.Namespace, weights: Weights) -> Server:
    """Return a server that is bound to the wanted address."""
    try:
        return Server((args.host, args.port), weights, verbose=args.verbose)
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the port is not in 0..65535"
        message = f"cannot listen on '{args.host}:{args.port}': {reason}"
        raise DigitsError(message, "choose another --host or --port (0: any free port)") from error


def parse_arguments() -> argparse.Namespace:
    """Read the command line; exits with code 2 when it makes no sense."""
    parser = argparse.ArgumentParser(description="Recognise handwritten digits over HTTP.")
    add = parser.add_argument
    add("--weights", type=Path, default=Path("model.safetensors"), help="weights file that train.py wrote")
    add("--host", default="127.0.0.1", help="address to listen on")
    add("--port", type=int, default=0, help="port to listen on (0: any free one)")
    add("--verbose", action="store_true", help="log each request on stderr")
    return parser.parse_args()


def main() -> int:
    """Run; return the exit code."""
    args = parse_arguments()
    # SIGINT too: a shell that starts the service in the background has it ignored.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        serve(listen(args, load(args.weights)))
    except DigitsError as error:
        print(error.line(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
