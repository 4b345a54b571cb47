"""The Supabase CLI as a child process: versions 2 and 3 by one argument list, and no secret in it.

Both take the project from ``SUPABASE_PROJECT_ID`` and consent from ``--yes``; nothing relies on a linked
folder, on a login, or on the home of whoever runs the guard.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from understudy.errors import TargetError
from understudy.restoration.targets.supabase.project import DEFAULT_API_URL, SupabaseProject

MAJORS = (2, 3)
#: Of the caller's environment the CLI gets these: a way to the network, and nothing else.
_PASSED_ON = (
    "PATH",
    "LANG",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
)
_VERSION = re.compile(r"(\d+)\.\d+\.\d+\S*")
_THROTTLED = re.compile(r"\b429\b|too many requests|rate limit", re.IGNORECASE)
_MESSAGE_CHARS = 400
_VERSION_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class CliAnswer:
    """How one command ended.

    Parameters
    ----------
    ok
        Exit code 0, and the answer names no error. It says what the CLI believes, no more.
    timed_out
        It was ended from here: what it did is unknown.
    document
        The JSON object on its standard output.
    message
        Why it failed, without secrets; empty when it did not.
    """

    ok: bool
    timed_out: bool
    message: str = ""
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def throttled(self) -> bool:
        """Whether the rate limit refused it; the CLI tells no status code, only this text."""
        return not self.ok and bool(_THROTTLED.search(self.message))


class SupabaseCli:
    """Runs commands for one project."""

    def __init__(self, project: SupabaseProject) -> None:
        self._project = project
        self._version: str | None = None

    async def version(self) -> str:
        """Its version, asked once.

        Raises
        ------
        TargetError
            It is not installed, or of a major that nobody has tried with this.
        """
        if self._version is None:
            with tempfile.TemporaryDirectory(prefix="understudy-supabase-") as folder:
                code, out, _ = await self._spawn(["--version"], Path(folder), _VERSION_TIMEOUT_S)
            found = _VERSION.search(out)
            if code != 0 or found is None:
                raise TargetError(
                    f"`{' '.join(self._project.command)} --version` names no version; is it the Supabase CLI?"
                )
            if int(found[1]) not in MAJORS:
                raise TargetError(
                    f"Version {found[0]} of the Supabase CLI is not known here: install version 2 or 3 "
                    f"(npm install supabase@3)."
                )
            self._version = found[0]
        return self._version

    async def run(
        self,
        *arguments: str,
        workdir: Path,
        hide: Sequence[str] = (),
        started: Callable[[int], None] | None = None,
    ) -> CliAnswer:
        """Run one command and return how it ended; it is killed when this is cancelled.

        Parameters
        ----------
        workdir
            The folder that holds ``supabase/``, used exactly as given.
        hide
            Values that no message may repeat.
        started
            Told the process id.

        Raises
        ------
        TargetError
            The CLI cannot be started.
        """
        await self.version()
        argv = [*arguments, "--yes", "--output-format", "json", "--workdir", str(workdir)]
        with tempfile.TemporaryDirectory(prefix="understudy-supabase-") as folder:
            code, out, complaints = await self._spawn(
                argv, Path(folder), self._project.patience.command_s, started
            )
        if code is None:
            waited = f"{self._project.patience.command_s:g} s"
            return CliAnswer(ok=False, timed_out=True, message=f"no end within {waited}")
        document = _document(out)
        error = document.get("error") if document.get("_tag") == "Error" else None
        if code == 0 and error is None:
            return CliAnswer(ok=True, timed_out=False, document=document)
        told = error.get("message") if isinstance(error, dict) else None
        text = str(told) if told else (complaints.strip() or out.strip() or f"exit code {code}")
        secrets = (self._project.token.get_secret_value(), *hide)
        return CliAnswer(ok=False, timed_out=False, message=_cleaned(text, secrets))

    async def _spawn(
        self,
        arguments: Sequence[str],
        home: Path,
        timeout_s: float,
        started: Callable[[int], None] | None = None,
    ) -> tuple[int | None, str, str]:
        """Exit code (None past the time), standard output and standard error."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._project.command,
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=home,
                env=self._environment(home),
                start_new_session=True,
            )
        except OSError as error:
            raise TargetError(
                f"The Supabase CLI cannot be started: `{self._project.command[0]}` ({error.strerror}). "
                f"Install it (npm install --global supabase) or name it in understudy.toml."
            ) from error
        try:
            if started is not None:
                started(process.pid)
            async with asyncio.timeout(timeout_s):
                out, complaints = await process.communicate()
        except TimeoutError:
            return None, "", ""
        finally:
            # Its launcher has a child of its own: the whole session goes.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return process.returncode, out.decode(errors="replace"), complaints.decode(errors="replace")

    def _environment(self, home: Path) -> dict[str, str]:
        project = self._project
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {
            "HOME": str(home),
            "SUPABASE_ACCESS_TOKEN": project.token.get_secret_value(),
            "SUPABASE_PROJECT_ID": project.ref,
            "SUPABASE_TELEMETRY_DISABLED": "1",
            "DO_NOT_TRACK": "1",
            "NO_COLOR": "1",
        }
        if project.api_url != DEFAULT_API_URL:
            profile = home / "profile.yaml"
            url = project.api_url.rstrip("/")
            host = url.split("://", 1)[-1].split(":")[0]
            document = {"name": "elsewhere", "api_url": url, "dashboard_url": url, "docs_url": url}
            profile.write_text(yaml.safe_dump(document | {"project_host": host}))
            environment["SUPABASE_PROFILE"] = str(profile)
        return environment


def _document(out: str) -> dict[str, Any]:
    """The last JSON object on standard output."""
    for line in reversed(out.splitlines()):
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    return {}


def _cleaned(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted((secret for secret in secrets if secret), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return " ".join(text.split())[:_MESSAGE_CHARS]
