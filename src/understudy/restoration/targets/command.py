"""Any deployment, as commands of ``understudy.toml``: argument lists, no shell, JSON in and out."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from understudy.clock import Clock
from understudy.environments import CommandSet, Environment
from understudy.environments.tables import PLACEHOLDER
from understudy.errors import TargetError
from understudy.logs import Redactor
from understudy.restoration.targets.base import (
    MODE_VARIABLE,
    AppliedMigration,
    Deployment,
    DeploymentState,
    RestorableDatabase,
    TargetCapabilities,
)
from understudy.restoration.targets.command_database import CommandDatabase, deployment_of
from understudy.restoration.targets.command_job import SECRET_NAMES_VARIABLE, Job, Jobs, JobState

#: Of this shell, what a program needs to run at all, and an agent for ssh.
KEPT_VARIABLES = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR",
    "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
#: No option, no path out of a repository: a branch, a tag or a revision.
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]*\Z")
_TAIL_CHARS = 400
T = TypeVar("T")
_Strings: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])
_Migrations: TypeAdapter[tuple[AppliedMigration, ...]] = TypeAdapter(tuple[AppliedMigration, ...])


class CommandRunner:
    """Runs the commands of one environment.

    Its secrets reach a program in its environment, never as an argument, and are taken out of what it says.
    """

    def __init__(self, environment: Environment, commands: CommandSet) -> None:
        self._environment = environment
        self._commands = commands

    @property
    def directory(self) -> Path:
        """Where every command starts: the folder of understudy.toml."""
        return self._environment.folder

    def variables(self) -> dict[str, str]:
        """What a program sees: a few variables of this shell, those asked for, and the named secrets."""
        kept = (*KEPT_VARIABLES, *self._commands.pass_env)
        found = {name: os.environ[name] for name in kept if name in os.environ}
        secrets = {
            name: value.get_secret_value() for name, value in self._environment.present_secrets().items()
        }
        return {**found, **secrets, SECRET_NAMES_VARIABLE: ",".join(secrets)}

    async def ask(
        self, argv: Sequence[str], *, given: Any = None, timeout_s: float | None = None, **words: str
    ) -> Any:
        """Run one command to its end and return the JSON it prints; None where it prints nothing.

        Raises
        ------
        TargetError
            It cannot be started, fails, takes too long or prints something else.
        """
        program = argv[0]
        limit_s = timeout_s or self._commands.query_timeout_s
        redact = Redactor(self._environment.present_secrets().values())
        try:
            process = await asyncio.create_subprocess_exec(
                *filled(argv, words),
                cwd=self.directory,
                env=self.variables(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise TargetError(f"{program} cannot be started: {error.strerror}.") from error
        try:
            async with asyncio.timeout(limit_s):
                out, err = await process.communicate(b"" if given is None else json.dumps(given).encode())
        except TimeoutError:
            raise TargetError(f"{program} did not end within {limit_s:g} s and was killed.") from None
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode != 0:
            said = redact((err or out).decode(errors="replace")).strip()[-_TAIL_CHARS:]
            raise TargetError(f"{program} failed with exit code {process.returncode}: {said or 'no word'}")
        try:
            return json.loads(out) if out.strip() else None
        except ValueError:
            raise TargetError(f"{program} printed something that is not JSON.") from None

    def job(self, job_id: str, what: str, argv: Sequence[str], clock: Clock, **words: str) -> Job:
        """Return the job that runs ``argv``."""
        return Job(
            id=job_id,
            what=what,
            argv=filled(argv, words),
            directory=str(self.directory),
            timeout_s=self._commands.timeout_s,
            begun_at=clock.now().isoformat(),
        )


class CommandTarget:
    """A deployment behind programs.

    Parameters
    ----------
    environment
        With its commands and its base URL.
    home
        Keeps what was begun, so that nothing is begun twice.
    """

    def __init__(self, environment: Environment, home: Path, clock: Clock) -> None:
        if environment.commands is None:
            raise TargetError(f"Environment {environment.name} has no commands.")
        self._environment = environment
        self._commands = environment.commands
        self._clock = clock
        self._jobs = Jobs(home)
        self._runner = CommandRunner(environment, environment.commands)
        self._database = (
            CommandDatabase(environment.commands, self._runner, self._jobs, home, clock)
            if environment.commands.database
            else None
        )

    @property
    def name(self) -> str:
        """``command``."""
        return "command"

    @property
    def capabilities(self) -> TargetCapabilities:
        """A live switch where the file says that the processes are ours."""
        return TargetCapabilities(live_switch=self._environment.live_switch, restore_beside=False)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the file says; api and worker by default."""
        return self._environment.kinds

    @property
    def database(self) -> RestorableDatabase | None:
        """Its backups, where the file has commands for them."""
        return self._database

    async def base_url(self) -> str:
        """Where the API answers."""
        return self._environment.base_url

    async def read_env(self, names: Sequence[str]) -> dict[str, str]:
        """Durable values of ``names``."""
        found = _parsed(
            _Strings, await self._runner.ask(self._commands.read_env, given=list(names)), "read_env"
        )
        return {name: found[name] for name in names if name in found}

    async def write_env(self, changes: Mapping[str, str]) -> None:
        """Change durable values; they travel on standard input."""
        await self._runner.ask(self._commands.write_env, given=dict(changes))

    async def redeploy(self, deployment_id: str) -> Deployment:
        """Begin to start everything anew, once for an id."""
        return await self._begin(deployment_id, "redeploy", self._commands.redeploy)

    async def deploy_revision(self, deployment_id: str, revision: str) -> Deployment:
        """Begin to deploy ``revision``, once for an id."""
        argv = self._commands.deploy_revision
        if argv is None:
            raise TargetError(
                f"Environment {self._environment.name} has no command deploy_revision in understudy.toml."
            )
        if not _REVISION.match(revision):
            raise TargetError(f"{revision!r} is no name of a branch, a tag or a revision.")
        return await self._begin(deployment_id, "deploy_revision", argv, revision=revision)

    async def deployment(self, deployment_id: str) -> Deployment | None:
        """Return the deployment of that id; ``status`` decides where the file has it."""
        job = await asyncio.to_thread(self._jobs.look, deployment_id)
        if job is None:
            return None
        asks = self._commands.status is not None and job.state in {JobState.DONE, JobState.UNKNOWN}
        return await self._asked(job) if asks else deployment_of(job)

    async def revision(self) -> str | None:
        """Return the revision that serves, where the file has a command that tells it."""
        if self._commands.revision is None:
            return None
        answer = await self._runner.ask(self._commands.revision)
        found = answer.get("revision") if isinstance(answer, dict) else None
        return found if isinstance(found, str) and found else None

    async def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        """Return the history, where the file has a command that prints it."""
        if self._commands.migrations is None:
            raise TargetError(
                f"Environment {self._environment.name} has no command migrations in understudy.toml."
            )
        answer = await self._runner.ask(self._commands.migrations)
        return _parsed(_Migrations, answer, "migrations")

    def commands_for(self, action: str, *, known_good: str, revision: str | None) -> tuple[str, ...]:
        """Return what an operator types to do ``action`` by hand; () for an action with nothing to type."""
        given = shlex.quote(json.dumps({MODE_VARIABLE: known_good}))
        switch = f"printf %s {given} | {shlex.join(self._commands.write_env)}"
        redeploy = shlex.join(filled(self._commands.redeploy, {"deployment_id": "by-hand"}))
        match action:
            case "env_switch":
                return (f"cd {shlex.quote(str(self._runner.directory))}", switch, redeploy)
            case "code_rollback" if self._commands.deploy_revision:
                words = {"deployment_id": "by-hand", "revision": revision or "<known-good-branch-or-tag>"}
                return (
                    f"cd {shlex.quote(str(self._runner.directory))}",
                    shlex.join(filled(self._commands.deploy_revision, words)),
                )
        return ()

    async def _begin(self, deployment_id: str, what: str, argv: Sequence[str], **words: str) -> Deployment:
        job = self._runner.job(deployment_id, what, argv, self._clock, deployment_id=deployment_id, **words)
        await asyncio.to_thread(self._jobs.begin, job, self._runner.variables())
        return await self.deployment(deployment_id) or Deployment(deployment_id, DeploymentState.RUNNING)

    async def _asked(self, job: Job) -> Deployment:
        answer = await self._runner.ask(self._commands.status or (), deployment_id=job.id)
        try:
            state = DeploymentState(answer["state"])
        except (TypeError, KeyError, ValueError):
            raise TargetError('status must print {"state": "running" | "done" | "failed"}.') from None
        error = answer.get("error") or job.error or "the deployment says that it failed"
        return Deployment(job.id, state, error=str(error) if state is DeploymentState.FAILED else None)


def filled(argv: Sequence[str], words: Mapping[str, str]) -> tuple[str, ...]:
    """Put ``words`` in; each argument stays one argument whatever a word holds."""
    return tuple(PLACEHOLDER.sub(lambda found: words.get(found[1], found[0]), part) for part in argv)


def _parsed(adapter: TypeAdapter[T], answer: Any, command: str) -> T:
    try:
        return adapter.validate_python(answer)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise TargetError(
            f"{command} printed something else than agreed: {where} {problem['msg']}."
        ) from None
