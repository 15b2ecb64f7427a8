"""The ASGI application: every noun's routes inside one frame. Runs on any ASGI server; `serve` runs it on granian."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from hundredweight.hub import health
from hundredweight.hub.admin import routes as admin
from hundredweight.hub.errors import error_response
from hundredweight.hub.locks import routes as locks
from hundredweight.hub.logs import Log
from hundredweight.hub.middleware import RequestFrame
from hundredweight.hub.objects import routes as objects
from hundredweight.hub.packs import routes as packs
from hundredweight.hub.receive.session import write_hooks
from hundredweight.hub.services import open_services
from hundredweight.hub.smarthttp.routes import SmartHttp
from hundredweight.hub.smarthttp.service import GitProcesses

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from hundredweight.hub.services import Services
    from hundredweight.hub.settings import Settings

ROUTES = [*health.ROUTES, *objects.ROUTES, *packs.ROUTES, *locks.ROUTES, *admin.ROUTES]
"""A route's handler finds the services through `context.services_of(request)` and raises `CwtError`s; the frame answers them."""


def create_app(settings: Settings, *, services: Services | None = None, log: Log | None = None) -> Starlette:
    """The application over the data folder of `settings`. Whoever opened the services closes them."""
    opened = services or open_services(settings)
    frame = Middleware(RequestFrame, services=opened, log=log or Log(settings.log_format))
    write_hooks(settings)
    git = SmartHttp(GitProcesses(settings.git_processes))
    app = Starlette(
        routes=[*ROUTES, *git.routes()], middleware=[frame], exception_handlers={HTTPException: _answer_http_exception}
    )
    # A path with a slash too many is another path, not a redirect.
    app.router.redirect_slashes = False
    app.state.services = opened
    return app


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    return error_response(error, request.url.path, request.state.request_id)
