"""The playbook's Local Recovery Runbook: switch code, align the database, serve, validate.

The commands are the layout's own (``npm run sb:reset`` and its kin), whatever stands behind them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from understudy.errors import ConfigurationError, ProcessError
from understudy.frontend_build import INSTALL, is_installed
from understudy.processes.home import Home, read_json

#: Where `supabase functions serve` answers, for a layout that serves by the Supabase CLI.
SUPABASE_SERVE_URL = "http://127.0.0.1:54321/functions/v1"
OUR_RESET = "understudy db reset"
SERVE_WITHIN_S = 240.0
STOP_WITHIN_S = 60.0
STEP_WITHIN_S = 3600.0
_GIT_WITHIN_S = 60.0
_HEALTH_TIMEOUT_S = 5.0
_POLL_S = 0.5
TAIL_LINES = 15
#: Without these nothing that comes after means anything; a failed check does not end the run.
_OTHERS_STAND_ON = {"switch", "stop", "database", "serve", "frontend dependencies"}


class State(StrEnum):
    """What became of a step."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the runbook.

    Parameters
    ----------
    name
        ``switch``, ``stop``, ``database``, ``serve``, ``database tests``, ``api tests``, ``frontend
        dependencies`` (where the checks need others than are installed), ``frontend check``, ``frontend
        typecheck``.
    skipped
        Why it does not apply here.
    destructive
        Data or running processes are lost by it: a person agrees first.
    optional
        Where it does not apply, the recovery is whole without it.
    """

    name: str
    argv: tuple[str, ...]
    skipped: str = ""
    destructive: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step did."""

    step: Step
    state: State
    seconds: float = 0.0
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether it does not stand in the way of a recovery."""
        left_out = self.state is State.SKIPPED and (self.step.optional or not self.step.skipped)
        return self.state is State.PASSED or left_out


@dataclass(slots=True)
class Recovery:
    """One run of the runbook in ``directory``.

    Parameters
    ----------
    revision
        The known-good branch, tag or commit.
    reset
        Empty the local database; None empties it unless it agrees with the code switched to.
    base_url
        Where the served API answers; found where None.
    """

    directory: Path
    home: Home
    revision: str
    reset: bool | None = None
    base_url: str | None = None
    _server: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def check(self) -> None:
        """Refuse what the runbook cannot start from; nothing is changed.

        Raises
        ------
        ConfigurationError
            No repository, changed files, an unknown revision, or a program that is not there.
        """
        changed = [
            line[3:] for line in self._git("status", "--porcelain", "--untracked-files=no").splitlines()
        ]
        if changed:
            shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
            raise ConfigurationError(
                f"{self.directory} has changes that are not committed: {shown}. Commit or stash them: "
                f"switching would carry them along."
            )
        try:
            self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{self.revision}^{{commit}}")
        except ConfigurationError:
            raise ConfigurationError(
                f"{self.revision} is no branch, tag or commit of {self.directory}. Fetch it first "
                f"(`git fetch --all --tags`), or name another."
            ) from None
        try:
            subprocess.run(["npm", "--version"], capture_output=True, check=True, timeout=_GIT_WITHIN_S)
        except (OSError, subprocess.SubprocessError):
            raise ConfigurationError(
                "npm is not there, and the runbook's commands are scripts of package.json. Install Node 20 "
                "or newer."
            ) from None

    def steps(self) -> tuple[Step, ...]:
        """Return the runbook as it applies to the files that lie there now."""
        scripts = _scripts(self.directory / "package.json")
        steps = [Step("switch", self._switch())]
        if self.running_up() is not None:
            steps.append(Step("stop", ("kill", str(self.running_up())), destructive=True))
        reset = _script("database", "sb:reset", scripts, destructive=True)
        if self.reset is False:
            reset = replace(reset, skipped="kept, as asked", optional=True)
        steps += [
            reset,
            _script("serve", "sb:serve", scripts),
            _script("database tests", "test:db", scripts),
            _script("api tests", "test:edge", scripts),
        ]
        return (*steps, *self._frontend())

    def _frontend(self) -> Iterator[Step]:
        place = self.directory / "frontend"
        scripts, wanted = _scripts(place / "package.json"), ("check", "typecheck")
        locked = (place / "package-lock.json").is_file()
        if locked and any(name in scripts for name in wanted) and not is_installed(place):
            yield Step("frontend dependencies", ("npm", "--prefix", "frontend", *INSTALL[1:]))
        for name in wanted:
            argv = ("npm", "--prefix", "frontend", "run", name)
            absent = "" if name in scripts else f"there is no frontend with a script {name} here"
            yield Step(f"frontend {name}", argv, skipped=absent, optional=True)

    def run(self, told: Callable[[Step], None]) -> Iterator[Outcome]:
        """Run it; the first failure of a step that others stand on ends it, a failed check does not.

        Parameters
        ----------
        told
            Called before each step.
        """
        steps = self.steps()
        position = 0
        while position < len(steps):
            outcome = self._outcome(steps[position], told)
            yield outcome
            position += 1
            if not outcome.ok and outcome.step.name in _OTHERS_STAND_ON:
                for other in steps[position:]:
                    yield Outcome(other, State.NOT_RUN, detail=f"{outcome.step.name} did not succeed")
                return
            if outcome.step.name == "switch":
                steps = self.steps()  # the code switched to may have another package.json

    def running_up(self) -> int | None:
        """Return the process id of the ``understudy up`` that runs on this home."""
        if not self.home.lock_file.exists():
            return None
        try:
            with self.home.locked():
                return None
        except ConfigurationError:
            holder = self.home.lock_file.read_text("utf-8").strip()
            return int(holder) if holder.isdigit() else None

    @property
    def serving(self) -> int | None:
        """The process that serves, as :meth:`run` left it."""
        return self._server.pid if self._server is not None else None

    def stop_serving(self) -> None:
        """Stop what :meth:`run` left serving; killed where it does not stop."""
        if self._server is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._server.pid, signal.SIGTERM)
            try:
                self._server.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._server.pid, signal.SIGKILL)
                self._server.wait()
        self._server = None

    def _outcome(self, step: Step, told: Callable[[Step], None]) -> Outcome:
        told(step)
        began = time.monotonic()
        state, detail = State.PASSED, ""
        try:
            state, detail = (State.SKIPPED, step.skipped) if step.skipped else self._do(step)
        except (ProcessError, ConfigurationError) as error:
            state, detail = State.FAILED, error.message
        return Outcome(step, state, round(time.monotonic() - began, 1), detail)

    def _do(self, step: Step) -> tuple[State, str]:
        match step.name:
            case "stop":
                return self._stop(int(step.argv[-1]))
            case "database":
                return self._database(step)
            case "serve":
                return self._serve(step)
        self._call(step)
        return State.PASSED, ""

    def _switch(self) -> tuple[str, ...]:
        branches = self._git("for-each-ref", "--format=%(refname)", f"refs/heads/{self.revision}")
        remote = self._git("for-each-ref", "--format=%(refname)", f"refs/remotes/*/{self.revision}")
        exact = f"refs/heads/{self.revision}" in branches.splitlines() or bool(remote.strip())
        return ("git", "switch", self.revision) if exact else ("git", "switch", "--detach", self.revision)

    def _stop(self, pid: int) -> tuple[State, str]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + STOP_WITHIN_S
        while self.running_up() is not None:
            if time.monotonic() > until:
                raise ProcessError(
                    f"`understudy up` (process {pid}) did not stop within {STOP_WITHIN_S:.0f} s."
                )
            time.sleep(_POLL_S)
        return State.PASSED, f"process {pid} stopped"

    def _database(self, step: Step) -> tuple[State, str]:
        if self.reset is None and self._agrees():
            return State.SKIPPED, "the database agrees with this code: nothing is emptied"
        self._call(step, SUPABASE_YES="1", UNDERSTUDY_YES="1")
        return State.PASSED, "emptied and migrated"

    def _agrees(self) -> bool:
        """Whether our own database is known to fit the code switched to; another layout's cannot be asked."""
        if OUR_RESET not in _scripts(self.directory / "package.json").get("sb:reset", ""):
            return False
        argv = [sys.executable, "-m", "understudy.cli.app", "db", "status", "--json"]
        found = subprocess.run(
            argv,
            cwd=self.directory,
            env=self._variables(),
            capture_output=True,
            check=False,
            timeout=STEP_WITHIN_S,
        )
        return found.returncode == 0

    def _serve(self, step: Step) -> tuple[State, str]:
        log = self._log(step)
        with log.open("wb") as stream:
            process = subprocess.Popen(
                step.argv,
                cwd=self.directory,
                env=self._variables(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        self._server = process
        until = time.monotonic() + SERVE_WITHIN_S
        while True:
            for url in self._addresses():
                if _healthy(url):
                    self.base_url = url
                    return State.PASSED, f"{url} answers, process {process.pid}, output in {log}"
            if process.poll() is not None:
                self._server = None
                raise ProcessError(f"it ended with exit code {process.returncode}: {_tail(log)}")
            if time.monotonic() > until:
                self.stop_serving()
                raise ProcessError(
                    f"no API answered within {SERVE_WITHIN_S:.0f} s, so it was stopped: {_tail(log)}"
                )
            time.sleep(_POLL_S)

    def _addresses(self) -> list[str]:
        if self.base_url:
            return [self.base_url]
        state = read_json(self.home.state_file)
        ours = (state.get("addresses") or {}).get("api") if isinstance(state, dict) else None
        return [url for url in (ours, SUPABASE_SERVE_URL) if url]

    def _call(self, step: Step, **added: str) -> None:
        log = self._log(step)
        try:
            with log.open("wb") as stream:
                found = subprocess.run(
                    step.argv,
                    cwd=self.directory,
                    env=self._variables() | added,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=stream,
                    timeout=STEP_WITHIN_S,
                    check=False,
                )
        except OSError as error:
            raise ProcessError(f"{step.argv[0]} cannot be started: {error.strerror}.") from error
        except subprocess.TimeoutExpired:
            raise ProcessError(f"it did not end within {STEP_WITHIN_S:.0f} s: {_tail(log)}") from None
        if found.returncode != 0:
            raise ProcessError(f"exit code {found.returncode}, {log}: {_tail(log)}")

    def _variables(self) -> dict[str, str]:
        return {**os.environ, "UNDERSTUDY_HOME": str(self.home.root)}

    def _log(self, step: Step) -> Path:
        folder = self.home.logs
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be made: {error.strerror}.") from error
        return folder / f"recover-{step.name.replace(' ', '-')}.log"

    def _git(self, *arguments: str) -> str:
        try:
            found = subprocess.run(
                ["git", *arguments],
                cwd=self.directory,
                capture_output=True,
                text=True,
                timeout=_GIT_WITHIN_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ConfigurationError(
                f"git cannot be asked in {self.directory} ({type(error).__name__})."
            ) from error
        if found.returncode != 0:
            raise ConfigurationError(f"git {arguments[0]} in {self.directory}: {found.stderr.strip()}")
        return found.stdout


def _script(name: str, script: str, scripts: dict[str, str], *, destructive: bool = False) -> Step:
    absent = "" if script in scripts else f"package.json has no script {script}"
    return Step(name, ("npm", "run", script), skipped=absent, destructive=destructive)


def _scripts(file: Path) -> dict[str, str]:
    try:
        found = json.loads(file.read_text("utf-8")).get("scripts")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{file} cannot be read ({type(error).__name__}).") from error
    return {str(name): str(line) for name, line in found.items()} if isinstance(found, dict) else {}


def _healthy(base_url: str) -> bool:
    """Whether ``GET /api/health`` says ok."""
    try:
        with urllib.request.urlopen(f"{base_url}/api/health", timeout=_HEALTH_TIMEOUT_S) as answer:  # noqa: S310
            return json.loads(answer.read(65_536)).get("ok") is True
    except (OSError, ValueError, AttributeError, urllib.error.URLError):
        return False


def _tail(log: Path) -> str:
    with suppress(OSError), log.open(encoding="utf-8", errors="replace") as stream:
        return "\n".join(deque((line.rstrip() for line in stream), maxlen=TAIL_LINES)).strip()
    return ""
