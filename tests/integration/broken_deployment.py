"""A deployment in memory that keeps the HTTP contract, except for the one promise it is told to break."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web

from tests.integration.promises import Break, RefusedError, Row, tone

LANGUAGES = ["Auto", "Chinese", "English", "German", "Italian", "Portuguese", "Spanish", "Japanese", "Korean"]
LANGUAGES += ["French", "Russian"]
SIGNATURE = "signature=0a1b2c"


class BrokenDeployment:
    """The deployment; ``breaks`` may be changed while it runs."""

    def __init__(self, *breaks: Break) -> None:
        self.breaks = set(breaks)
        self.accounts: dict[str, tuple[str, str]] = {}
        self.tokens: dict[str, str] = {}
        self.rows: dict[str, Row] = {}
        self.objects: dict[str, bytes] = {}
        self.generate_attempts = 0
        #: While it is not set, what was made by `POST /api/generate` is not told yet.
        self.tells = asyncio.Event()
        self.tells.set()

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._errors], client_max_size=12 << 20)
        routes = {
            "GET /api/health": self.health,
            "GET /api/languages": self.languages,
            "GET /api/me": self.me,
            "POST /auth/v1/signup": self.sign_up,
            "POST /auth/v1/token": self.token,
            "POST /api/clone/upload-url": self.upload_url,
            "POST /api/clone/finalize": self.finalize,
            "GET /api/voices": self.voices,
            "GET /api/voices/{id}/preview": self.voice_preview,
            "POST /api/voices/design/preview": self.design_preview,
            "POST /api/voices/design": self.design,
            "POST /api/generate": self.generate,
            "GET /api/tasks/{id}": self.task,
            "POST /api/tasks/{id}/cancel": self.cancel,
            "GET /api/generations": self.generations,
            "GET /api/generations/{id}/audio": self.generation_audio,
            "POST /api/generations/{id}/regenerate": self.regenerate,
            "PUT /objects/{key:.+}": self.put_object,
            "GET /objects/{key:.+}": self.get_object,
        }
        for route, handler in routes.items():
            app.router.add_route(*route.split(" "), handler)
        for kind in ("voices", "generations", "tasks"):
            app.router.add_delete(f"/api/{kind}/{{id}}", self.delete)
        return app

    def remaining(self) -> list[str]:
        """What tenants still have."""
        return [f"{row.kind} {row.id}" for row in self.rows.values()]

    # --- errors and identities ------------------------------------------------------------------------------

    @web.middleware
    async def _errors(self, request: web.Request, handler: Any) -> web.StreamResponse:
        try:
            return await handler(request)
        except RefusedError as refusal:
            return self._refuse(request, refusal.status, refusal.detail)
        except web.HTTPException as error:
            if Break.UNKNOWN_PATH_TEXT in self.breaks and error.status == 404:
                return web.Response(status=404, text="404: Not Found")
            return self._refuse(request, error.status, error.reason)

    def _refuse(self, request: web.Request, status: int, detail: str) -> web.Response:
        body: Any = {"detail": detail}
        if status == 400:
            if Break.ERROR_LIST in self.breaks:
                body = [{"loc": ["body"], "msg": detail}]
            if Break.ERROR_EXTRA in self.breaks:
                body["code"] = "validation"
            if Break.ERROR_HTML in self.breaks:
                return web.Response(status=status, text="<h1>Bad request</h1>", content_type="text/html")
            if Break.ERROR_422 in self.breaks:
                status = 422
            if Break.ERROR_STACK in self.breaks:
                body = {"detail": 'Traceback (most recent call last):\n  File "app.py", line 1'}
            if Break.ERROR_SURROGATE in self.breaks:
                return web.Response(
                    status=500, body=b'{"detail": "\\ud800"}', content_type="application/json"
                )
        if status == 401 and Break.TOKEN_SENTENCE in self.breaks:
            body = {"detail": "Not authenticated"}
        if Break.ECHOES_TOKEN in self.breaks and request.path == "/api/generate":
            body = {"detail": f"Refused {request.headers.get('Authorization')}"}
            status = 500
        return web.json_response(body, status=status)

    def _user(self, request: web.Request) -> str:
        header = request.headers.get("Authorization")
        if header is None:
            if Break.READS_WITHOUT_TOKEN in self.breaks and request.path.startswith("/api/tasks/"):
                return self.rows[request.match_info["id"]].owner
            raise RefusedError(401, "Missing authorization header")
        user = self.tokens.get(header.removeprefix("Bearer "))
        if user is None:
            raise RefusedError(401, "Invalid or expired token")
        return user

    async def _body(self, request: web.Request, *names: str) -> dict[str, Any]:
        try:
            body = json.loads(await request.read())
        except ValueError:
            raise RefusedError(400, "The body is not JSON.") from None
        if not isinstance(body, dict) or any(not isinstance(body.get(name), str) for name in names):
            raise RefusedError(400, "The body lacks a field.")
        return body

    def _own(self, request: web.Request, kind: str, *, leak: Break | None = None) -> Row:
        user, row = self._user(request), self._row(request.match_info["id"], kind)
        if row.owner != user and (leak is None or leak not in self.breaks):
            if Break.FORBIDS_INSTEAD in self.breaks:
                raise RefusedError(403, "This is not yours.")
            if Break.TELLS_EXISTENCE in self.breaks:
                raise RefusedError(404, f"There is no such {kind} of yours.")
            raise RefusedError(404, f"There is no such {kind}.")
        return row

    def _row(self, identifier: str, kind: str) -> Row:
        row = self.rows.get(identifier)
        if row is None or row.kind != kind:
            raise RefusedError(404, f"There is no such {kind}.")
        return row

    def _add(self, owner: str, kind: str, **data: Any) -> Row:
        row = Row(data.pop("id", None) or str(uuid4()), owner, kind, data)
        self.rows[row.id] = row
        return row

    async def sign_up(self, request: web.Request) -> web.Response:
        body = await self._credentials(request)
        if body["email"] in self.accounts:
            return web.json_response({"code": 422, "error_code": "user_already_exists"}, status=422)
        self.accounts[body["email"]] = (body["password"], str(uuid4()))
        return self._session(body["email"])

    async def token(self, request: web.Request) -> web.Response:
        body = await self._credentials(request)
        if self.accounts.get(body["email"], ("", ""))[0] != body["password"]:
            return web.json_response({"code": 400, "error_code": "invalid_credentials"}, status=400)
        return self._session(body["email"])

    async def _credentials(self, request: web.Request) -> dict[str, Any]:
        if Break.AUTH_DOWN in self.breaks:
            raise RefusedError(503, "The database cannot be reached.")
        return await self._body(request, "email", "password")

    def _session(self, email: str) -> web.Response:
        token = f"token-of-{uuid4().hex}"
        self.tokens[token] = self.accounts[email][1]
        return web.json_response({"access_token": token, "token_type": "bearer", "expires_in": 3600})

    async def me(self, request: web.Request) -> web.Response:
        return web.json_response({"signed_in": True, "user": {"id": self._user(request)}, "profile": {}})

    # --- public ---------------------------------------------------------------------------------------------

    async def health(self, _: web.Request) -> web.Response:
        if Break.HEALTH_HTML in self.breaks:
            return web.Response(text='{"ok": true}', content_type="text/html")
        body = {"ok": Break.HEALTH_NOT_OK not in self.breaks}
        return web.json_response(body | ({"x": 1} if Break.HEALTH_EXTRA in self.breaks else {}))

    async def languages(self, _: web.Request) -> web.Response:
        languages: list[Any] = LANGUAGES[:3] if Break.FEW_LANGUAGES in self.breaks else list(LANGUAGES)
        if Break.UNHASHABLE_LANGUAGES in self.breaks:
            languages = [{"name": name} for name in LANGUAGES]
        streams = Break.MODAL_STREAMS in self.breaks
        body = {
            "languages": languages,
            "default": "Auto",
            "provider": "qwen" if Break.OTHER_PROVIDER in self.breaks else "modal",
            "capabilities": {
                "supports_generate": True,
                "supports_generate_stream": streams,
                "default_generate_mode": "stream" if Break.DEFAULT_STREAM in self.breaks else "task",
                "allow_generate_mode_toggle": False,
                "max_text_chars": 10000,
                "supports_clone": True,
                "supports_design": True,
            },
            "transcription": {"enabled": False, "provider": None, "model": None},
        }
        if Break.NO_TRANSCRIPTION in self.breaks:
            del body["transcription"]
        return web.json_response(body)

    # --- voices ---------------------------------------------------------------------------------------------

    async def upload_url(self, request: web.Request) -> web.Response:
        user = self._user(request)
        await self._body(request, "name", "language", "transcript")
        voice = str(uuid4())
        key = f"{user}/{voice}/reference.wav"
        host = "http://127.0.0.2:9" if Break.FOREIGN_UPLOAD_URL in self.breaks else ""
        url = f"{host}/objects/references/{key}?{SIGNATURE}"
        return web.json_response({"voice_id": voice, "upload_url": url, "object_key": key})

    async def finalize(self, request: web.Request) -> web.Response:
        user = self._user(request)
        body = await self._body(request, "name", "language", "transcript", "voice_id")
        if f"references/{user}/{body['voice_id']}/reference.wav" not in self.objects:
            raise RefusedError(400, "Audio file not uploaded.")
        if Break.FINALIZE_FAILS in self.breaks:
            raise RefusedError(500, "Failed to create voice.")
        self._add(user, "voice", id=body["voice_id"], name=body["name"])
        return web.json_response({"id": body["voice_id"], "name": body["name"]})

    async def voices(self, request: web.Request) -> web.Response:
        return self._listing(request, "voice", Break.LISTS_VOICES_OF_ALL)

    def _listing(self, request: web.Request, kind: str, leak: Break) -> web.Response:
        user = self._user(request)
        if not request.query.get("page", "1").isdigit():
            raise RefusedError(400, "page must be a number")
        rows = [
            {"id": row.id, **row.data}
            for row in self.rows.values()
            if row.kind == kind and (row.owner == user or leak in self.breaks)
        ]
        return web.json_response({f"{kind}s": rows, "pagination": {"total": len(rows)}})

    async def voice_preview(self, request: web.Request) -> web.Response:
        row = self._own(request, "voice")
        key = f"references/{row.owner}/{row.id}/reference.wav"
        if Break.REFERENCE_SILENT in self.breaks:
            self.objects[key] = tone(3, level=0)
        return _redirect(f"/objects/{key}?{SIGNATURE}")

    async def design_preview(self, request: web.Request) -> web.Response:
        user = self._user(request)
        body = await self._body(request, "text", "language", "instruct")
        level = 0.0 if Break.DESIGN_SILENT in self.breaks else 0.2
        task = self._add(user, "task", type="design_preview")
        self.objects[f"previews/{task.id}.wav"] = tone(len(body["text"]) / 14, level=level)
        return web.json_response({"task_id": task.id, "status": "pending"})

    async def design(self, request: web.Request) -> web.Response:
        user, form = self._user(request), await request.post()
        row = self._row(str(form.get("task_id")), "task")
        if row.owner != user and Break.SAVES_TASKS_OF_ALL not in self.breaks:
            raise RefusedError(404, "There is no such task.")
        voice = self._add(user, "voice", name=str(form["name"]))
        return web.json_response({"id": voice.id, "source": "designed"})

    # --- generations and tasks ------------------------------------------------------------------------------

    async def generate(self, request: web.Request) -> web.Response:
        user = self._user(request)
        self.generate_attempts += 1
        body = await self._body(request, "voice_id", "text")
        voice = self._row(body["voice_id"], "voice")
        if voice.owner != user and Break.SPEAKS_FOR_ALL not in self.breaks:
            raise RefusedError(404, "There is no such voice.")
        if Break.GENERATE_REFUSED in self.breaks:
            raise RefusedError(503, "The speech provider is unavailable; try again shortly.")
        seconds = len(body["text"]) / 14
        generation = self._add(user, "generation", status="pending", duration_seconds=None)
        generation.data["seconds"] = seconds
        task = self._add(user, "task", type="generate", generation_id=generation.id)
        audio = tone(seconds, level=0.0 if Break.AUDIO_SILENT in self.breaks else 0.2)
        if Break.AUDIO_CUT in self.breaks:
            audio = tone(0.2)
        if Break.AUDIO_HEADER_LIES in self.breaks:
            audio = audio[: len(audio) // 2]
        self.objects[f"generations/{generation.id}.wav"] = audio
        await self.tells.wait()
        return web.json_response(
            {
                "task_id": task.id,
                "status": "processing",
                "is_long_running": True,
                "estimated_duration_minutes": 1,
                "generation_id": generation.id,
            }
        )

    def _end(self) -> str:
        if Break.SPEECH_NEVER_ENDS in self.breaks:
            return "processing"
        return "failed" if Break.SPEECH_FAILS in self.breaks else "completed"

    async def generations(self, request: web.Request) -> web.Response:
        for row in self.rows.values():
            if row.kind == "generation":
                row.reads += 1
                row.data["status"] = "processing" if row.reads < 3 else self._end()
                if row.data["status"] == "completed":
                    lie = 9 if Break.DURATION_LIES in self.breaks else 0
                    row.data["duration_seconds"] = row.data["seconds"] + lie
        return self._listing(request, "generation", Break.LISTS_GENERATIONS_OF_ALL)

    async def task(self, request: web.Request) -> web.Response:
        self._user(request)
        try:
            UUID(request.match_info["id"])
        except ValueError:
            raise RefusedError(404, "There is no such task.") from None
        row = self._own(request, "task", leak=Break.SHOWS_TASKS_OF_ALL)
        row.reads += 1
        spoken = row.data["type"] == "generate"
        end = self._end() if spoken else "failed" if Break.DESIGN_FAILS in self.breaks else "completed"
        status = ("pending", "processing", "processing")[row.reads - 1] if row.reads <= 3 else end
        if spoken and Break.TASK_NEVER_ENDS in self.breaks:
            status = "processing"
        if spoken and Break.TASK_GOES_BACK in self.breaks:
            status = "pending" if row.reads % 2 else "processing"
        if spoken and Break.TASK_LEAVES_END in self.breaks and row.reads > 4:
            status = "processing"
        body = {
            "id": row.id,
            "type": row.data["type"],
            "status": status,
            "result": {"audio_url": self._audio_url(row)} if status == "completed" else None,
            "error": "The speech provider failed." if status == "failed" else None,
            "provider": "qwen" if spoken and Break.TASK_PROVIDER in self.breaks else "modal",
            "provider_status": status,
            "provider_poll_count": row.reads,
            "modal_status": status,
            "modal_elapsed_seconds": 0.1,
            "modal_poll_count": row.reads,
        }
        if spoken and Break.TASK_FIELD_MISSING in self.breaks:
            del body["provider_poll_count"]
        return web.json_response(body)

    def _audio_url(self, row: Row) -> str:
        if row.data["type"] == "generate":
            wrong = Break.TASK_AUDIO_URL in self.breaks
            return (
                "https://provider/x.wav" if wrong else f"/api/generations/{row.data['generation_id']}/audio"
            )
        if Break.DESIGN_TEMP_URL in self.breaks:
            return "https://dashscope-result.example/preview.wav?Expires=1"
        return f"/objects/previews/{row.id}.wav?{SIGNATURE}"

    async def cancel(self, request: web.Request) -> web.Response:
        row = self._own(request, "task")
        return web.json_response({"cancelled": True, "task_id": row.id})

    async def generation_audio(self, request: web.Request) -> web.Response:
        row = self._own(request, "generation", leak=Break.PLAYS_GENERATIONS_OF_ALL)
        if Break.AUDIO_ELSEWHERE in self.breaks:
            return _redirect("http://127.0.0.2:9/audio.wav")
        if Break.AUDIO_LOOPS in self.breaks:
            return _redirect("/objects/loop")
        return _redirect(f"/objects/generations/{row.id}.wav?{SIGNATURE}")

    async def regenerate(self, request: web.Request) -> web.Response:
        row = self._own(request, "generation")
        return web.json_response({"redirect_url": f"/generate?from={row.id}"})

    async def delete(self, request: web.Request) -> web.Response:
        row = self._own(request, request.path.split("/")[2][:-1], leak=Break.DELETES_FOR_ALL)
        if Break.DELETE_REFUSED in self.breaks:
            raise RefusedError(503, "Writes are frozen; try again later.")
        del self.rows[row.id]
        return web.json_response({"ok": True})

    async def put_object(self, request: web.Request) -> web.Response:
        if Break.UPLOAD_REFUSED in self.breaks or request.query_string != SIGNATURE:
            raise RefusedError(403, "The signature is not valid.")
        self.objects[request.match_info["key"]] = await request.read()
        return web.Response(status=200)

    async def get_object(self, request: web.Request) -> web.Response:
        key = request.match_info["key"]
        if key == "loop":
            return _redirect("/objects/loop")
        if request.query_string != SIGNATURE and Break.OBJECTS_PUBLIC not in self.breaks:
            raise RefusedError(403, "The signature is not valid.")
        if Break.AUDIO_HTML in self.breaks and key.startswith("generations/"):
            return web.Response(text="<h1>Sign in</h1>", content_type="text/html")
        return web.Response(body=self.objects[key], content_type="audio/wav")


def _redirect(location: str) -> web.Response:
    return web.Response(status=302, headers={"Location": location})
