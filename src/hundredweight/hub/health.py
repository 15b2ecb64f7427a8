"""`/healthz` (the process answers), `/readyz` (database and store can be written), `/metrics` (for Prometheus)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hundredweight.hub.context import in_thread, services_of

if TYPE_CHECKING:
    from starlette.requests import Request


async def healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """503 with the reason when the hub could not take a push now."""
    services = services_of(request)
    await in_thread(services.database.check)
    await in_thread(services.store.backend.check)
    return JSONResponse({"status": "ready"})


async def metrics(request: Request) -> Response:
    return Response(services_of(request).metrics.text(), media_type=CONTENT_TYPE_LATEST)


ROUTES = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
