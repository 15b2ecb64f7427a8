"""Figures for Prometheus, in a registry of the hub's own. Labels have few values: never names, ids or paths of users."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE"))
KINDS = (("/objects/batch", "batch"), ("/locks", "locks"), ("/info/lfs/", "object"))


class Metrics:
    """What the hub counts. Thread-safe."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "cwt_hub_requests_total", "Finished requests", ("method", "kind", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "cwt_hub_request_seconds",
            "Time from a request's first byte to the answer's last",
            ("kind",),
            buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600),
            registry=self.registry,
        )
        self.running = Gauge("cwt_hub_requests_running", "Requests being served", registry=self.registry)
        self.bytes = Counter("cwt_hub_object_bytes_total", "Bytes of objects", ("direction",), registry=self.registry)
        self.refused = Counter(
            "cwt_hub_uploads_refused_total", "Uploads that were not what they should be", registry=self.registry
        )

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        kind = kind_of(path)
        self.requests.labels(method if method in METHODS else "other", kind, str(status)).inc()
        self.seconds.labels(kind).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self.registry)


def kind_of(path: str) -> str:
    """What a path asks for, as one of few words."""
    if path in ("/healthz", "/readyz", "/metrics"):
        return "health"
    if path.startswith("/api/"):
        return "api"
    if "/info/lfs/" in path:
        return next(kind for part, kind in KINDS if part in path)
    if path.endswith(("/info/refs", "/git-upload-pack", "/git-receive-pack")):
        return "git"
    return "other"
