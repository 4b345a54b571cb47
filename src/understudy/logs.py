"""JSON logs on standard error, with secrets taken out before a line is written."""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

import structlog
from pydantic import SecretStr

from understudy.digests import UNGUESSABLE_CHARS

REDACTED = "[redacted]"

#: Shapes that are secrets wherever they appear: bearer tokens, keys, JWTs, passwords in DSNs.
_SECRET_SHAPES = re.compile(
    r"(?i)(bearer\s+[\w\-.~+/]+=*)|(\bsk-[A-Za-z0-9_\-]{8,})|(\bu[sg]k_[0-9a-f]{8}_[\w\-]+)"
    r"|(\beyJ[\w\-]+\.[\w\-]+\.[\w\-]+)|((?<=://)[^\s/@:]*:[^\s/@]+(?=@))"
)


class Redactor:
    """Removes known secret values, and anything shaped like a secret, from text.

    Parameters
    ----------
    secrets
        Values to remove wherever they occur; those shorter than six characters are ignored.
    named
        The same, each under a name that :meth:`seen` tells; a short value may stand somewhere by chance, so
        only those beyond guessing are told.
    """

    def __init__(
        self, secrets: Iterable[SecretStr | str] = (), *, named: Mapping[str, SecretStr | str] | None = None
    ) -> None:
        named = named or {}
        names = {_plain(secret): name for name, secret in named.items()}
        values = {_plain(secret) for secret in secrets} | names.keys()
        self._values = sorted({v for v in values if len(v) >= 6}, key=len, reverse=True)
        self._names = {
            value: names[value]
            for value in self._values
            if value in names and len(value) >= UNGUESSABLE_CHARS
        }

    def __call__(self, text: str) -> str:
        """Return ``text`` without secrets."""
        for value in self._values:
            text = text.replace(value, REDACTED)
        return _SECRET_SHAPES.sub(REDACTED, text)

    def seen(self, value: Any) -> set[str]:
        """Names of the secrets that stand in the strings of ``value``."""
        if isinstance(value, str):
            return {name for secret, name in self._names.items() if secret in value}
        if isinstance(value, dict):
            return set().union(*map(self.seen, value.values()))
        if isinstance(value, (list, tuple)):
            return set().union(*map(self.seen, value))
        return set()

    def clean(self, value: Any) -> Any:
        """Return ``value`` with every string inside it redacted."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, SecretStr):
            return REDACTED
        if isinstance(value, dict):
            return {key: self.clean(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.clean(item) for item in value]
        return value


class Leaks:
    """Log lines in which a secret stood, by its name; told to whoever listens.

    Lines are written before there is anybody to tell, and from any thread.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._tell: Callable[[str], None] | None = None

    def note(self, names: Iterable[str]) -> None:
        """Count one line in which these stood."""
        for name in names:
            self.counts[name] += 1
            if self._tell is not None:
                self._tell(name)

    def attach(self, tell: Callable[[str], None]) -> None:
        """Tell ``tell`` of each from now on, and of those before; it must neither wait nor log."""
        for name, count in self.counts.items():
            for _ in range(count):
                tell(name)
        self._tell = tell


def configure_logging(
    process: str,
    *,
    level: str = "info",
    secrets: Iterable[SecretStr | str] = (),
    named: Mapping[str, SecretStr | str] | None = None,
    leaks: Leaks | None = None,
) -> None:
    """Send structured and standard-library logs to standard error as one JSON object a line.

    Parameters
    ----------
    process
        Name put on every line: ``api``, ``worker``, ``guard``, ...
    level
        Lowest level written.
    secrets
        Values that must never be written.
    named, leaks
        The same by name, and who is told of a line in which one stood before it was taken out.
    """
    redactor = Redactor(secrets, named=named)

    def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        # A line comes past twice; the second time nothing stands in it any more.
        if leaks is not None and (names := redactor.seen(list(event.values()))):
            leaks.note(names)
        return {key: redactor.clean(value) for key, value in event.items()}

    def add_process(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_process,
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                redact,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.getLogger("uvicorn.access").disabled = True


def _plain(secret: SecretStr | str) -> str:
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger that takes events and key-value pairs."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
