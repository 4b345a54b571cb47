"""What ``understudy up`` puts into the durable environment file, and what it never touches there."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from understudy.envfile import read_env_file, set_in_env_file, unreadable_lines
from understudy.errors import ConfigurationError
from understudy.processes.home import Home, write_private
from understudy.settings import LOOPBACK_HOSTS, Settings, settings_from
from understudy.store.embedded.roles import DATABASE, is_product_database

MODE_VARIABLE = "TTS_PROVIDER_MODE"
STANDIN_KEY_VARIABLE = "STANDIN_DASHSCOPE_KEY"
#: Settings that the playbook pins for a cutover forward; written once so that an operator sees them.
_PINNED = ("dashscope_region", "qwen_vc_target_model", "qwen_vd_target_model", "qwen_max_text_chars")
_DATABASE_VARIABLES = ("DATABASE_URL", "MIGRATION_DATABASE_URL")
_MODAL_PATHS = {
    "MODAL_JOB_SUBMIT": "/job-submit",
    "MODAL_JOB_STATUS": "/job-status",
    "MODAL_JOB_RESULT": "/job-result",
    "MODAL_JOB_CANCEL": "/job-cancel",
    "MODAL_ENDPOINT_VOICE_DESIGN": "/voice-design",
}
_STANDIN_VARIABLES = (*_MODAL_PATHS, "DASHSCOPE_BASE_URL")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where this run's processes listen; the stand-ins' are ``None`` without them."""

    api: str
    database: SecretStr
    migration_database: SecretStr
    dashscope: str | None
    modal: str | None


def check_environment(home: Home, *, mode: str | None, with_standins: bool) -> None:
    """Refuse, before anything is started or written, a file that this run could not work with.

    Parameters
    ----------
    mode
        The mode asked for by option or environment; ``None`` leaves the file's.

    Raises
    ------
    ConfigurationError
        Names the file, the setting, what is wrong with it and what to do.
    """
    present = read_env_file(home.env_file) if home.env_file.exists() else {}
    if present:
        lines = unreadable_lines(home.env_file)
        if lines:
            numbers = ", ".join(str(line) for line in lines)
            raise ConfigurationError(
                f"{home.env_file}, line {numbers}: not NAME=value, so every reader would skip it. Correct "
                f"it, or start it with #."
            )
    _refuse_foreign(home, present, _DATABASE_VARIABLES, "`understudy up` runs its own Postgres")
    if with_standins:
        cause = "this run starts the stand-ins (use --without-standins to call the real provider)"
        _refuse_foreign(home, present, _STANDIN_VARIABLES, cause)
    asked = present | ({MODE_VARIABLE: mode} if mode else {})
    if with_standins:  # their addresses are not known yet, and will be loopback
        asked = {name: value for name, value in asked.items() if name not in _STANDIN_VARIABLES}
    settings = _settings(home, asked)
    if not with_standins:
        _check_providers(home, settings)


def write_environment(home: Home, addresses: Addresses, *, mode: str | None) -> Settings:
    """Bring the file up to date: secrets made once, addresses of this run, everything else kept.

    Returns
    -------
    Settings
        As every child will read them.

    Raises
    ------
    ConfigurationError
        The file cannot be written, or its settings contradict each other.
    """
    present = read_env_file(home.env_file) if home.env_file.exists() else {}
    once = {
        MODE_VARIABLE: str(Settings.model_fields["tts_provider_mode"].default),
        **{name.upper(): str(Settings.model_fields[name].default) for name in _PINNED},
        "JWT_SECRET": secrets.token_urlsafe(48),
        "OBJECT_URL_SECRET": secrets.token_urlsafe(48),
    }
    each_run = {
        "DATABASE_URL": addresses.database.get_secret_value(),
        "MIGRATION_DATABASE_URL": addresses.migration_database.get_secret_value(),
        "UNDERSTUDY_HOME": str(home.root),
    }
    if _is_loopback(present.get("PUBLIC_BASE_URL", "")):
        each_run["PUBLIC_BASE_URL"] = addresses.api
    if addresses.modal is not None and addresses.dashscope is not None:
        once["DASHSCOPE_API_KEY"] = standin_key(home)
        each_run |= {name: f"{addresses.modal}{path}" for name, path in _MODAL_PATHS.items()}
        each_run["DASHSCOPE_BASE_URL"] = addresses.dashscope
    changes: dict[str, str | None] = {
        **{name: value for name, value in once.items() if not present.get(name)},
        **each_run,
    }
    if mode:
        changes[MODE_VARIABLE] = mode
    set_in_env_file(home.env_file, changes)
    settings = read_settings(home)
    _check_providers(home, settings)
    return settings


def database_name(home: Home) -> str:
    """Name of the product's database: the one that a restore put into the file, or the first one's."""
    present = read_env_file(home.env_file) if home.env_file.exists() else {}
    name = urlsplit(present.get("DATABASE_URL", "")).path.removeprefix("/")
    return name if is_product_database(name) else DATABASE


def read_settings(home: Home) -> Settings:
    """The file as a process started now reads it; raises :class:`ConfigurationError` where it could not."""
    return _settings(home, read_env_file(home.env_file))


def standin_key(home: Home) -> str:
    """The DashScope key that the stand-ins accept; made before the file is first written."""
    if not home.env_file.exists() or not read_env_file(home.env_file).get(STANDIN_KEY_VARIABLE):
        key = f"sk-standin-intl-{secrets.token_hex(16)}"
        set_in_env_file(home.env_file, {STANDIN_KEY_VARIABLE: key})
    return read_env_file(home.env_file)[STANDIN_KEY_VARIABLE]


def ensure_operator_token(home: Home) -> None:
    """Make the operator's token once; it survives restarts."""
    path = home.operator_token_file
    if not path.exists() or not path.read_text(encoding="utf-8").strip():
        write_private(path, secrets.token_urlsafe(32) + "\n")


def _settings(home: Home, values: Mapping[str, str]) -> Settings:
    try:
        return settings_from(values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error.message}. Correct it in {home.env_file}.") from None


def _check_providers(home: Home, settings: Settings) -> None:
    """Both, whatever the mode: every process holds both, so that a switch meets no surprise."""
    try:
        settings.check_modal()
        settings.check_qwen()
    except ConfigurationError as error:
        raise ConfigurationError(f"{error.message} The file is {home.env_file}.") from None


def _refuse_foreign(home: Home, present: Mapping[str, str], names: tuple[str, ...], cause: str) -> None:
    for name in names:
        value = present.get(name, "")
        if not _is_loopback(value):
            host = urlsplit(value).hostname
            raise ConfigurationError(
                f"{name} in {home.env_file} points at {host}, but {cause}. The file was left as it is: "
                f"remove that line, or choose another --home."
            )


def _is_loopback(url: str) -> bool:
    """Whether ``url`` is ours to refresh: empty, or on this machine."""
    return not url or (urlsplit(url).hostname or "") in LOOPBACK_HOSTS
