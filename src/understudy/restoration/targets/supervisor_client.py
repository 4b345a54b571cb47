"""Client of the supervisor's control protocol on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
from pydantic import SecretStr

from understudy.errors import TargetError
from understudy.restoration.targets.base import Deployment, DeploymentState

_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)


class SupervisorClient:
    """Speaks to ``understudy up``.

    Parameters
    ----------
    control_file
        ``home/run/control.json``; read for each call, because a restarted supervisor has another address.
    """

    def __init__(self, control_file: Path) -> None:
        self._control_file = control_file

    async def status(self) -> Mapping[str, Any]:
        """Processes and addresses, as the supervisor sees them."""
        status, answer = await self._call("GET", "/v1/status")
        return self._expect(status, answer, 200)

    async def begin(
        self, deployment_id: str, kinds: Sequence[str], *, release: str | None = None
    ) -> Deployment:
        """Begin a deployment; the same id is answered, never begun again.

        Parameters
        ----------
        release
            Name of the release to start from; None leaves the one in force.
        """
        wanted = {"id": deployment_id, "kinds": list(kinds)} | ({"release": release} if release else {})
        status, answer = await self._call("POST", "/v1/deployments", wanted)
        return _deployment(self._expect(status, answer, 202))

    async def deployment(self, deployment_id: str) -> Deployment | None:
        """Return a deployment, or None when the supervisor does not know it."""
        status, answer = await self._call("GET", f"/v1/deployments/{quote(deployment_id, safe='')}")
        return None if status == 404 else _deployment(self._expect(status, answer, 200))

    def _expect(self, status: int, answer: Any, expected: int) -> Mapping[str, Any]:
        if status != expected or not isinstance(answer, dict):
            detail = answer.get("detail") if isinstance(answer, dict) else None
            raise TargetError(f"The supervisor answered {status}: {detail or 'no reason given'}")
        return answer

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        url, token = self._control()
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.request(
                    method, url + path, json=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                return response.status, json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TargetError(
                f"The supervisor at {url} does not answer ({type(error).__name__}). "
                f"Is `understudy up` running?"
            ) from error
        except ValueError:
            raise TargetError(f"The supervisor at {url} answered {method} {path} with no JSON.") from None

    def _control(self) -> tuple[str, SecretStr]:
        try:
            control = json.loads(self._control_file.read_text("utf-8"))
            return str(control["url"]), SecretStr(control["token"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TargetError(
                f"{self._control_file} does not say where the supervisor is. Is `understudy up` running?"
            ) from error


def _deployment(answer: Mapping[str, Any]) -> Deployment:
    try:
        return Deployment(
            id=str(answer["id"]),
            state=DeploymentState(answer["state"]),
            error=answer.get("error"),
            steps=tuple(answer.get("steps") or ()),
        )
    except (KeyError, ValueError) as error:
        raise TargetError(f"The supervisor described a deployment without {error}.") from error
