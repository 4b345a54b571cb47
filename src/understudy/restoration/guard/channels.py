"""Where notices go: Slack, PagerDuty, CloudEvents. Each says it in its own format and is heard by status."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from understudy.errors import ConfigurationError
from understudy.logs import Redactor
from understudy.restoration.guard.notices import Notice
from understudy.settings import LOOPBACK_HOSTS, Settings

#: Limits of PagerDuty's Events API v2.
_SUMMARY_CHARACTERS = 1024
_DEDUP_KEY_CHARACTERS = 255
_SLACK_CHARACTERS = 3000
_ANSWER_READ = 200
#: A client error that asking again may cure.
_WORTH_RETRYING = frozenset({408, 425, 429})
_SIGNS = {"critical": ":red_circle:", "error": ":large_orange_circle:", "info": ":white_circle:"}


class DeliveryError(Exception):
    """A notice did not arrive.

    Parameters
    ----------
    permanent
        The receiver refused it for good; asking again cannot help.
    retry_after_s
        What the receiver asked for, in seconds.
    """

    def __init__(self, reason: str, *, permanent: bool = False, retry_after_s: float | None = None) -> None:
        self.reason = reason
        self.permanent = permanent
        self.retry_after_s = retry_after_s
        super().__init__(reason)


class Channel(Protocol):
    """One receiver."""

    @property
    def name(self) -> str:
        """Stable: the outbox remembers by it how far the channel is."""
        ...

    async def deliver(self, session: aiohttp.ClientSession, notice: Notice) -> None:
        """Send one notice; raises :class:`DeliveryError`."""
        ...


class HttpChannel(ABC):
    """Posts JSON to one address, which is a secret and is never told."""

    name = "http"
    content_type = "application/json"

    def __init__(self, url: SecretStr, redactor: Redactor) -> None:
        self._url = url
        self._redactor = redactor

    @abstractmethod
    def body(self, notice: Notice) -> dict[str, Any]:
        """What this receiver is told; the redactor goes over it."""

    def secret_fields(self) -> dict[str, str]:
        """What is put into the body past the redactor."""
        return {}

    async def deliver(self, session: aiohttp.ClientSession, notice: Notice) -> None:
        """Post the notice; see :class:`Channel`."""
        try:
            async with session.post(
                self._url.get_secret_value(),
                json=self._redactor.clean(self.body(notice)) | self.secret_fields(),
                headers={"Content-Type": self.content_type},
                allow_redirects=False,
            ) as answer:
                if answer.status < 300:
                    return
                said = (await answer.content.read(_ANSWER_READ)).decode(errors="replace").strip()
                reason = self._redactor(f"answered {answer.status} {said}".strip())
                status, retry_after = answer.status, answer.headers.get("Retry-After", "")
        except TimeoutError as error:
            raise DeliveryError("no answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # The exception's text may quote the address, which is a secret.
            problem = getattr(error, "strerror", None) or type(error).__name__
            raise DeliveryError(f"cannot be reached: {problem}") from None
        raise DeliveryError(
            reason,
            permanent=400 <= status < 500 and status not in _WORTH_RETRYING,
            retry_after_s=float(retry_after) if retry_after.isdecimal() else None,
        )


class SlackChannel(HttpChannel):
    """Slack's incoming webhook: one message a person reads at a glance."""

    name = "slack"

    def body(self, notice: Notice) -> dict[str, Any]:
        """Return the message in Slack's markup."""
        sign = ":white_check_mark:" if notice.over else _SIGNS.get(notice.severity, ":warning:")
        what = (notice.state or notice.kind).upper().replace("_", " ")
        lines = [
            f"{sign} *{_slack(what)}* {_slack(notice.title)}",
            f"{_slack(notice.subject)} | {_slack(notice.environment)} | {notice.at:%Y-%m-%d %H:%M:%S} UTC",
            f"*What happened:* {_slack(notice.what_happened)}",
            f"*What to do:* {_slack(notice.what_to_do)}",
        ]
        return {"text": "\n".join(lines)[:_SLACK_CHARACTERS]}


def _slack(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class PagerDutyChannel(HttpChannel):
    """PagerDuty's Events API v2: one alert an incident, triggered, acknowledged and resolved."""

    name = "pagerduty"

    def __init__(self, url: SecretStr, redactor: Redactor, *, routing_key: SecretStr) -> None:
        super().__init__(url, redactor)
        self._routing_key = routing_key

    def body(self, notice: Notice) -> dict[str, Any]:
        """Return the event."""
        action = "acknowledge" if notice.kind == "acknowledged" else "resolve" if notice.over else "trigger"
        return {
            "event_action": action,
            "dedup_key": notice.subject[:_DEDUP_KEY_CHARACTERS],
            "client": "Understudy",
            "payload": {
                "summary": f"{notice.title}: {notice.what_happened}"[:_SUMMARY_CHARACTERS],
                "source": notice.environment,
                "severity": notice.severity,
                "timestamp": notice.at.isoformat(),
                "class": notice.kind,
                "custom_details": notice.document(),
            },
        }

    def secret_fields(self) -> dict[str, str]:
        """Return the integration's key."""
        return {"routing_key": self._routing_key.get_secret_value()}


class CloudEventsChannel(HttpChannel):
    """CloudEvents 1.0, structured JSON: for whatever else wants to know."""

    name = "cloudevents"
    content_type = "application/cloudevents+json"

    def body(self, notice: Notice) -> dict[str, Any]:
        """Return the event; its id is the same however often it is sent."""
        family = "guard" if notice.kind.startswith("alarm") else "incident"
        return {
            "specversion": "1.0",
            "id": f"{notice.environment}-{notice.seq}",
            "source": f"/understudy/guard/{notice.environment}",
            "type": f"understudy.{family}.{notice.kind}",
            "time": notice.at.isoformat(),
            "subject": notice.subject,
            "datacontenttype": "application/json",
            "data": notice.document(),
        }


def channels_of(settings: Settings, redactor: Redactor) -> list[Channel]:
    """Return the channels that are configured.

    Raises
    ------
    ConfigurationError
        An address is not https (or http on this machine).
    """
    channels: list[Channel] = []
    slack, events = settings.guard_slack_webhook_url, settings.guard_cloudevents_url
    if slack.get_secret_value():
        check_secret_url("GUARD_SLACK_WEBHOOK_URL", slack)
        channels.append(SlackChannel(slack, redactor))
    if settings.guard_pagerduty_routing_key.get_secret_value():
        address = SecretStr(settings.guard_pagerduty_url)
        check_secret_url("GUARD_PAGERDUTY_URL", address)
        key = settings.guard_pagerduty_routing_key
        channels.append(PagerDutyChannel(address, redactor, routing_key=key))
    if events.get_secret_value():
        check_secret_url("GUARD_CLOUDEVENTS_URL", events)
        channels.append(CloudEventsChannel(events, redactor))
    return channels


def check_secret_url(name: str, url: SecretStr) -> None:
    """Refuse anything but https, or http on loopback; unlike other addresses it is never quoted."""
    try:
        parts = urlsplit(url.get_secret_value())
        host = parts.hostname or ""
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(f"{name} is not a URL: expected https://...")
    if parts.scheme == "http" and host not in LOOPBACK_HOSTS:
        raise ConfigurationError(f"{name} uses http to {host}; only https is allowed beyond this machine.")
