"""The repository of the edge function: tags fetched, and a commit laid out beside its work tree."""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from understudy.errors import TargetError

_FETCH_TIMEOUT_S = 60.0
_TIMEOUT_S = 30.0
#: What git itself would take for an option, or for a range, is no revision.
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+@{}~^-]*\Z")


class SourceRepository:
    """Git questions about one repository; its work tree and branches are never touched."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def fetch(self) -> str:
        """Fetch every tag of every remote; say what came of it, for records: without network go on."""
        if not (await self._git("remote"))[1].strip():
            return "the repository has no remote"
        code, _, complaints = await self._git(
            "fetch", "--all", "--tags", "--quiet", timeout_s=_FETCH_TIMEOUT_S
        )
        if code == 0:
            return "fetched all tags"
        last = (complaints.strip().splitlines() or ["no answer in time"])[-1]
        return f"not fetched ({last[:200]}); the tags here were used"

    async def commit(self, revision: str) -> str:
        """Return the full commit of ``revision``.

        Raises
        ------
        TargetError
            There is no such revision, or no repository.
        """
        if not _REVISION.match(revision) or ".." in revision:
            raise TargetError(f"{revision!r} is no revision of a git repository.")
        code, out, complaints = await self._git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
        )
        if code != 0:
            why = f" ({complaints.strip()[:200]})" if complaints.strip() else ""
            raise TargetError(f"{self._folder} has no revision {revision}{why}.")
        return out.strip()

    @asynccontextmanager
    async def worktree(self, commit: str) -> AsyncIterator[Path]:
        """Lay the commit out in a folder of its own, and take it away afterwards."""
        with tempfile.TemporaryDirectory(prefix="understudy-worktree-", ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "source"
            # One that a killed process left registered, its folder gone, is in nobody's way after this.
            await self._git("worktree", "prune")
            code, _, complaints = await self._git("worktree", "add", "--detach", "--quiet", str(path), commit)
            if code != 0:
                raise TargetError(f"git worktree add failed: {complaints.strip()[:300]}")
            try:
                yield path
            finally:
                await self._git("worktree", "remove", "--force", str(path))

    async def _git(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> tuple[int, str, str]:
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                "-c",
                "core.hooksPath=/dev/null",
                "-C",
                str(self._folder),
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
            )
        except OSError as error:
            raise TargetError(f"git cannot be started ({error.strerror}); install it.") from error
        try:
            async with asyncio.timeout(timeout_s):
                out, complaints = await process.communicate()
        except TimeoutError:
            return 1, "", f"no end within {timeout_s:g} s"
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, out.decode(errors="replace"), complaints.decode(errors="replace")
