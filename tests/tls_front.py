"""TLS in front of a hub, as a proxy ends it: what clients need for a company's own authority and its certificates."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from urllib.parse import urlsplit


class TlsFront:
    """Use as a context: listens at `url` and passes everything on to `target`, once that is set. As many uploads as `cuts` says
    are cut when they begin."""

    def __init__(self, context: ssl.SSLContext, target: str = "") -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.target = target
        self.cuts = 0

    def __enter__(self) -> TlsFront:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(plain,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        parts = urlsplit(self.target)
        outside = self._context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        outside.settimeout(20)
        try:
            outside.do_handshake()
        except OSError:
            # The client is to see why: no reset, which would take the alert from it.
            with outside, contextlib.suppress(OSError):
                outside.shutdown(socket.SHUT_WR)
                while outside.recv(1 << 16):
                    pass
            return
        with outside, socket.create_connection((parts.hostname or "", parts.port or 0)) as inside:
            back = threading.Thread(target=self._copy, args=(inside, outside), daemon=True)
            back.start()
            self._copy(outside, inside)
            back.join(20)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(1 << 16):
                if self.cuts and data.startswith(b"PUT "):
                    self.cuts -= 1
                    target.shutdown(socket.SHUT_RDWR)
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            return
