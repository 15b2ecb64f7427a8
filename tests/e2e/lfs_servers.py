"""LFS servers that others wrote, each in a process of its own: dulwich's and giftless, the latter also with JWT logins."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

DULWICH = """
import sys
from dulwich.lfs_server import run_lfs_server
server, url = run_lfs_server("127.0.0.1", 0, sys.argv[1])
print(url, flush=True)
server.serve_forever()
"""
GIFTLESS = """
import warnings
warnings.simplefilter("ignore")
from giftless.app import init_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, init_app(), threaded=True)
print(f"http://127.0.0.1:{server.server_port}/team/weights.git/info/lfs", flush=True)
server.serve_forever()
"""
JWT_KEY = "a key for tests only, of thirty-two bytes"
TOKEN = """
import sys, time, jwt
claims = {"sub": "ada", "exp": time.time() + 3600, "scopes": ["obj:team/weights/*"]}
print(jwt.encode(claims, sys.argv[1], algorithm="HS256"))
"""
START_SECONDS = 30.0


class LfsServer:
    """`url` is what `lfs.url` must be. `stop` when done."""

    def __init__(self, kind: str, folder: Path) -> None:
        """`kind`: dulwich, giftless, or giftless-jwt (which wants the user `_jwt` with `token()` as password)."""
        storage = folder / "storage"
        storage.mkdir()
        script, variables = (DULWICH, {}) if kind == "dulwich" else (GIFTLESS, giftless_settings(kind, storage))
        self.log = folder / "server.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", script, str(storage)],
                stdout=subprocess.PIPE,
                stderr=log,
                env=variables,
                cwd=folder,
            )
        watchdog = threading.Timer(START_SECONDS, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().decode().strip()
        watchdog.cancel()
        assert self.url, self.log.read_text()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()


def giftless_settings(kind: str, storage: Path) -> dict[str, str]:
    key = {"algorithm": "HS256", "private_key": JWT_KEY}
    anybody: list[object] = ["giftless.auth.allow_anon:read_write"]
    login: list[object] = [{"factory": "giftless.auth.jwt:factory", "options": key}]
    settings = {
        "LEGACY_ENDPOINTS": False,
        "AUTH_PROVIDERS": login if kind == "giftless-jwt" else anybody,
        "PRE_AUTHORIZED_ACTION_PROVIDER": {
            "factory": "giftless.auth.jwt:factory",
            "options": {**key, "default_lifetime": 600},
        },
        "TRANSFER_ADAPTERS": {"basic": {"options": {"storage_options": {"path": str(storage)}}}},
    }
    return {"GIFTLESS_CONFIG_STR": json.dumps(settings)}


def token() -> str:
    done = subprocess.run([sys.executable, "-c", TOKEN, JWT_KEY], capture_output=True, text=True, check=True)
    return done.stdout.strip()
