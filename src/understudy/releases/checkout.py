"""A git checkout of this service: which revision it is, whether files differ from it, and its export."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from understudy.errors import ConfigurationError

#: What a wheel is made of; a file that git does not know counts as a change only here.
PACKAGED = ("src", "migrations", "playbooks", "frontend", "pyproject.toml", "hatch_build.py")
#: Joins a commit and the digest of what was changed on top of it.
CHANGED_MARK = "+"
_GIT_TIMEOUT_S = 10.0
_EXPORT_TIMEOUT_S = 60.0
#: Git asks nobody: a guard has no terminal, and a question would hang until the time box is spent.
_SILENT = {"GIT_TERMINAL_PROMPT": "0", "GIT_SSH_COMMAND": "ssh -oBatchMode=yes", "GIT_OPTIONAL_LOCKS": "0"}


@dataclass(frozen=True, slots=True)
class Checkout:
    """The working tree at ``root``; git is asked anew each time, and nothing in it is ever changed."""

    root: Path

    @classmethod
    def at(cls, folder: Path) -> Checkout | None:
        """Return the checkout of this service whose root is ``folder``; None where there is none."""
        root = folder.resolve()
        if not (root / ".git").exists() or not (root / "src" / "understudy").is_dir():
            return None
        return cls(root)

    @classmethod
    def containing(cls, folder: Path) -> Checkout | None:
        """Return the checkout of whatever repository ``folder`` lies in; None where git names none."""
        top = cls(folder).top() if folder.is_dir() else None
        return cls(Path(top)) if top else None

    def top(self) -> str | None:
        """Return the folder that git takes for the root."""
        return self._ask("rev-parse", "--show-toplevel")

    def commit(self, ref: str) -> str | None:
        """Return the commit that a tag, branch or (short) hash names; None where it names none."""
        if not ref or ref.startswith("-"):
            return None
        return self._ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")

    def tag_of(self, commit: str) -> str | None:
        """Return the tag that names this very commit, if one does."""
        return self._ask("describe", "--tags", "--exact-match", commit)

    def changes(self) -> tuple[str, ...]:
        """Return paths that differ from HEAD: of files git knows, and new ones a wheel would take in."""
        known = self._ask("status", "--porcelain", "--untracked-files=no") or ""
        new = self._ask("ls-files", "--others", "--exclude-standard", "--", *PACKAGED) or ""
        return (*(line[2:].strip() for line in known.splitlines()), *new.splitlines())

    def revision(self) -> str | None:
        """Return the commit of HEAD; with a digest of the content behind a ``+`` where files differ from it.

        None before the first commit, and without git.
        """
        head = self.commit("HEAD")
        if head is None or not self.changes():
            return head
        return f"{head}{CHANGED_MARK}{self._content_digest()}"

    def fetch(self, within_s: float) -> str | None:
        """Fetch every branch and tag of every remote; return why it could not be done, or None.

        Without a remote there is nothing to fetch.
        """
        if not self._ask("remote"):
            return None
        try:
            done = self._run("fetch", "--all", "--tags", "--quiet", timeout_s=within_s)
        except subprocess.TimeoutExpired:
            return f"git fetch did not end within {within_s:g} s"
        except OSError as error:
            return f"git fetch cannot be run: {error.strerror}"
        said = done.stderr.strip().splitlines()
        return (
            None if done.returncode == 0 else f"git fetch failed: {said[-1] if said else 'no reason given'}"
        )

    def committed_at(self, commit: str) -> int | None:
        """Return the seconds since 1970 at which the commit was made."""
        told = self._ask("show", "--no-patch", "--format=%ct", commit)
        return int(told) if told else None

    def export(self, revision: str, folder: Path) -> None:
        """Write the files of ``revision`` (as :meth:`revision` names it) into the empty ``folder``.

        Raises
        ------
        ConfigurationError
            It is not in this repository, or what is changed now is something else than it says.
        """
        commit, _, changed = revision.partition(CHANGED_MARK)
        if changed:
            if self.revision() != revision:
                raise ConfigurationError(
                    f"Revision {revision[:12]}{CHANGED_MARK}{changed} held changes never committed, and "
                    f"{self.root} holds them no more: it cannot be built again."
                )
            for name in self._listed():
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self.root / name, target)
            return
        with tempfile.TemporaryDirectory() as place:
            archive = Path(place) / "files.zip"
            try:
                done = self._run(
                    "archive", "--format=zip", "-o", str(archive), commit, timeout_s=_EXPORT_TIMEOUT_S
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise ConfigurationError(f"git archive cannot be run in {self.root}: {error}.") from None
            if done.returncode != 0:
                raise ConfigurationError(
                    f"Revision {commit} is not in the repository at {self.root}. Fetch it: "
                    f"git fetch --all --tags"
                )
            with zipfile.ZipFile(archive) as files:
                files.extractall(folder)

    def _listed(self) -> list[str]:
        listed = self._ask("ls-files", "--cached", "--others", "--exclude-standard") or ""
        return [name for name in listed.splitlines() if (self.root / name).is_file()]

    def _content_digest(self) -> str:
        """Digest of all that a wheel is made of."""
        told = sha256()
        for name in sorted(self._listed()):
            if name.split("/", 1)[0] in PACKAGED:
                told.update(name.encode() + b"\0" + sha256((self.root / name).read_bytes()).digest())
        return told.hexdigest()[:8]

    def _ask(self, *arguments: str) -> str | None:
        try:
            done = self._run(*arguments, timeout_s=_GIT_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.rstrip("\n") if done.returncode == 0 else None

    def _run(self, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        # Variables of a surrounding git (a hook, a rebase) would point it at another repository.
        own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        command: Sequence[str] = ("git", "-c", "core.quotepath=off", *arguments)
        with subprocess.Popen(
            command,
            cwd=self.root,
            env=own | _SILENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=timeout_s)
            except BaseException:
                # Its transport too (ssh): that holds the pipes open, and would outlive it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                raise
            return subprocess.CompletedProcess(command, process.returncode, out, err)
