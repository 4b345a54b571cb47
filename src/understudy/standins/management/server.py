"""Routes of the Management API: what the CLI calls, and what a read-back asks."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import BodyPartReader, web
from pydantic import SecretStr

from understudy.clock import Clock
from understudy.standins.faults import FaultPanel, reset_connection
from understudy.standins.hanging import SilentConnections
from understudy.standins.management.faults import MANAGEMENT_FAULTS, MANAGEMENT_NUMBERS
from understudy.standins.management.limits import Allowance, EndpointLimits
from understudy.standins.management.project import (
    Function,
    ManagementRefusalError,
    Project,
    Upload,
)
from understudy.standins.panel import add_panel

SERVICES = ("auth", "db", "db_postgres_user", "pooler", "realtime", "rest", "storage", "pg_bouncer")
#: 20 MB is what a function may weigh.
_MAX_BODY_BYTES = 24 * 1024 * 1024

#: Told of each function put into force, with the secrets it then starts with.
Deployed = Callable[[Function, Mapping[str, str]], Awaitable[None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ManagementServer:
    """State and routes of the stand-in.

    Parameters
    ----------
    token
        The one access token it knows.
    refs
        Projects that are there at the start.
    deployed
        Serves a function for real, where somebody wants that; what it runs keeps the secrets of that moment,
        as a warm isolate does.
    """

    def __init__(
        self,
        token: SecretStr,
        refs: Sequence[str],
        clock: Clock,
        *,
        fault_seed: int = 0,
        deployed: Deployed | None = None,
    ) -> None:
        self._token = token
        self._clock = clock
        self._deployed = deployed
        self.panel = FaultPanel(MANAGEMENT_FAULTS, fault_seed, MANAGEMENT_NUMBERS)
        self.projects = {ref: Project(ref, f"standin-{ref[:4]}", clock, self.panel) for ref in refs}
        self.requests: list[tuple[str, str]] = []
        self._limits = EndpointLimits(self.panel, clock)
        self._silent = SilentConnections()

    def application(self) -> web.Application:
        """The aiohttp application."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[self._gate])
        one = "/v1/projects/{ref}"
        app.router.add_get("/v1/projects", self._list_projects)
        app.router.add_get(one, self._read_project)
        app.router.add_get(f"{one}/health", self._health)
        app.router.add_get(f"{one}/secrets", self._list_secrets)
        app.router.add_post(f"{one}/secrets", self._set_secrets)
        app.router.add_delete(f"{one}/secrets", self._delete_secrets)
        app.router.add_get(f"{one}/functions", self._list_functions)
        app.router.add_put(f"{one}/functions", self._activate)
        app.router.add_post(f"{one}/functions/deploy", self._deploy)
        app.router.add_get(f"{one}/functions/{{slug}}", self._read_function)
        app.router.add_delete(f"{one}/functions/{{slug}}", self._delete_function)
        app.router.add_get(f"{one}/database/backups", self._backups)
        app.router.add_post(f"{one}/database/backups/restore-pitr", self._restore)
        app.router.add_post(f"{one}/database/query/read-only", self._query)
        add_panel(app, self.panel, self._stats)
        app.on_shutdown.append(self._close)
        return app

    def _stats(self) -> dict[str, Any]:
        counts = [f"{method} {path}" for method, path in self.requests]
        return {
            "requests": {name: counts.count(name) for name in dict.fromkeys(counts)},
            "uploads": sum(len(project.uploads) for project in self.projects.values()),
            "restores": sum(len(project.restores) for project in self.projects.values()),
        }

    @web.middleware
    async def _gate(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Token, rate limit and the shape of every refusal."""
        if request.path.startswith("/_"):
            return await handler(request)
        if request.headers.get("Authorization") != f"Bearer {self._token.get_secret_value()}":
            return _refusal(401, "Unauthorized")
        resource = request.match_info.route.resource
        pattern = resource.canonical if resource else request.path
        self.requests.append((request.method, pattern.removeprefix("/v1/projects/{ref}") or pattern))
        allowance = self._limits.admit(f"{request.method} {pattern}", struck=self._throttles(request))
        if allowance.refused:
            return _headed(_refusal(429, "ThrottlerException: Too Many Requests"), allowance)
        if request.method == "GET" and self.panel.strikes("read_500"):
            return _headed(_refusal(500, "Internal Server Error"), allowance)
        try:
            response = await handler(request)
        except ManagementRefusalError as error:
            response = _refusal(error.status, error.message)
        except web.HTTPException as error:
            response = _refusal(error.status, error.reason)
        return _headed(response, allowance)

    def _throttles(self, request: web.Request) -> bool:
        if request.method == "GET":
            return self.panel.strikes("read_throttled")
        if request.path.endswith("/deploy"):
            return self.panel.strikes("deploy_throttled")
        return request.path.endswith("/secrets") and self.panel.strikes("secrets_set_throttled")

    def _project(self, request: web.Request) -> Project:
        project = self.projects.get(request.match_info["ref"])
        if project is None:
            raise ManagementRefusalError(404, "Project not found")
        return project

    async def _list_projects(self, _: web.Request) -> web.Response:
        return web.json_response([project.to_json() for project in self.projects.values()])

    async def _read_project(self, request: web.Request) -> web.Response:
        return web.json_response(self._project(request).to_json())

    async def _health(self, request: web.Request) -> web.Response:
        project = self._project(request)
        services = [name for part in request.query.getall("services", []) for name in part.split(",")]
        unknown = [name for name in services if name not in SERVICES]
        if not services or unknown:
            raise ManagementRefusalError(400, f"services: must be some of {', '.join(SERVICES)}")
        return web.json_response(project.health(services))

    async def _list_secrets(self, request: web.Request) -> web.Response:
        return web.json_response(self._project(request).list_secrets())

    async def _set_secrets(self, request: web.Request) -> web.StreamResponse:
        project = self._project(request)
        if self.panel.strikes("secrets_set_500"):
            raise ManagementRefusalError(500, "Failed to create secrets")
        project.set_secrets(await _json(request))
        # In force all the same: only the answer is lost.
        if self.panel.strikes("secrets_set_hang"):
            return await self._hang(request)
        return web.Response(status=201)

    async def _delete_secrets(self, request: web.Request) -> web.Response:
        self._project(request).delete_secrets(await _json(request))
        return web.Response()

    async def _list_functions(self, request: web.Request) -> web.Response:
        functions = self._project(request).functions.values()
        return web.json_response([function.to_json() for function in functions])

    async def _read_function(self, request: web.Request) -> web.Response:
        return web.json_response(self._project(request).function(request.match_info["slug"]).to_json())

    async def _delete_function(self, request: web.Request) -> web.Response:
        project = self._project(request)
        del project.functions[project.function(request.match_info["slug"]).slug]
        return web.Response()

    async def _activate(self, request: web.Request) -> web.Response:
        """Bulk activation: versions uploaded before are put into force; here all of them already are."""
        project, wanted = self._project(request), await _json(request)
        slugs = [item.get("slug") for item in wanted if isinstance(item, dict)]
        return web.json_response({"functions": [project.function(str(slug)).to_json() for slug in slugs]})

    async def _deploy(self, request: web.Request) -> web.StreamResponse:
        project = self._project(request)
        if self.panel.strikes("deploy_500"):
            raise ManagementRefusalError(500, "Failed to deploy function")
        files, metadata = await _multipart(request)
        slug = request.query.get("slug") or str(metadata.get("name") or "")
        if not slug or not isinstance(metadata.get("entrypoint_path"), str):
            raise ManagementRefusalError(400, "metadata.entrypoint_path and a slug are required")
        if self.panel.strikes("deploy_lost"):
            return await self._hang(request)
        agent = request.headers.get("User-Agent", "")
        before = project.functions.get(slug)
        function = project.deploy(Upload(slug, files, metadata, self._clock.now(), agent))
        if self._deployed is not None and function is not before:
            await self._deployed(function, {name: kept.value for name, kept in project.secrets.items()})
        # In force all the same: only the answer is lost.
        if self.panel.strikes("deploy_hang"):
            return await self._hang(request)
        return web.json_response(function.to_json(), status=201)

    async def _backups(self, request: web.Request) -> web.Response:
        return web.json_response(self._project(request).backups())

    async def _restore(self, request: web.Request) -> web.StreamResponse:
        self._project(request).restore(await _json(request))
        if self.panel.strikes("restore_hang"):
            return await self._hang(request)
        return web.Response(status=201)

    async def _query(self, request: web.Request) -> web.Response:
        """Rows of the migration history: the one thing of the database that this stand-in knows."""
        wanted = await _json(request)
        statement = wanted.get("query") if isinstance(wanted, dict) else None
        if not isinstance(statement, str) or "supabase_migrations.schema_migrations" not in statement:
            raise ManagementRefusalError(400, "Failed to run sql query: only the migration history is here")
        rows = [{"version": version, "name": name} for version, name in self._project(request).migrations]
        return web.json_response(rows, status=201)

    async def _hang(self, request: web.Request) -> web.Response:
        await self._silent.hold(request.transport)
        reset_connection(request.transport)
        return web.Response()

    async def _close(self, _: web.Application) -> None:
        self._silent.release()


async def _json(request: web.Request) -> Any:
    try:
        return json.loads(await request.read())
    except ValueError:
        raise ManagementRefusalError(400, "The body is not JSON.") from None


async def _multipart(request: web.Request) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Parts named ``file``, by the path in their file name, and the part ``metadata``."""
    if not request.content_type.startswith("multipart/"):
        raise ManagementRefusalError(400, "expected multipart/form-data")
    files: dict[str, bytes] = {}
    metadata: Any = None
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        content = bytes(await part.read())
        if part.name == "metadata":
            metadata = json.loads(content)
        elif part.name == "file" and part.filename:
            files[part.filename] = content
    if not isinstance(metadata, dict):
        raise ManagementRefusalError(400, "metadata: required")
    return files, metadata


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"message": message}, status=status)


def _headed(response: web.StreamResponse, allowance: Allowance) -> web.StreamResponse:
    if not response.prepared:
        response.headers.update(allowance.headers())
    return response
