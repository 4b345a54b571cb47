from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from understudy.clock import SystemClock
from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import ConfigurationError
from understudy.processes.environment import (
    Addresses,
    check_environment,
    ensure_operator_token,
    standin_key,
    write_environment,
)
from understudy.processes.home import Home
from understudy.processes.ports import choose_port, listening_socket
from understudy.processes.up import UpOptions, run_up

pytestmark = pytest.mark.integration

REAL = {
    "MODAL_JOB_SUBMIT": "https://w--submit.modal.run",
    "MODAL_JOB_STATUS": "https://w--status.modal.run",
    "MODAL_JOB_RESULT": "https://w--result.modal.run",
    "MODAL_JOB_CANCEL": "https://w--cancel.modal.run",
    "MODAL_ENDPOINT_VOICE_DESIGN": "https://w--design.modal.run",
    "DASHSCOPE_API_KEY": "sk-real-00000000",
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home.at(tmp_path / "home")
    made.create()
    return made


def addresses(port: int = 1000, *, standins: bool = True) -> Addresses:
    return Addresses(
        api=f"http://127.0.0.1:{port}",
        database=SecretStr(f"postgresql://app:secret#1@127.0.0.1:{port + 1}/understudy"),
        migration_database=SecretStr(f"postgresql://owner:secret@127.0.0.1:{port + 1}/understudy"),
        dashscope=f"http://127.0.0.1:{port + 2}" if standins else None,
        modal=f"http://127.0.0.1:{port + 3}" if standins else None,
    )


async def refused(options: UpOptions) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await run_up(options, announce=lambda _: None, notify=lambda _: None, clock=SystemClock())
    return caught.value.message


def test_the_home_is_private(home):
    assert home.root.stat().st_mode & 0o777 == 0o700
    assert all(folder.stat().st_mode & 0o777 == 0o700 for folder in home.root.rglob("*") if folder.is_dir())


@pytest.mark.parametrize("place", ["file/home", "/proc/understudy", "/sys/understudy"])
def test_a_home_that_cannot_be_written_names_the_fix(tmp_path, place):
    (tmp_path / "file").write_text("")
    home = Home.at(tmp_path / place)  # an absolute place replaces tmp_path; not even root may write these
    with pytest.raises(ConfigurationError, match=rf"{home.root} cannot be written: .* --home"):
        home.create()


def test_only_one_up_holds_a_home(home):
    with (
        home.locked(),
        pytest.raises(ConfigurationError, match=rf"process {os.getpid()}.*kill {os.getpid()}"),
        home.locked(),
    ):
        pass
    with home.locked():
        pass


def test_a_port_in_use_is_named_with_its_option():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for take in (listening_socket, choose_port):
            with pytest.raises(ConfigurationError, match=rf"Port {port} \(--guard-port\) is in use"):
                take(port, option="--guard-port")
    with pytest.raises(ConfigurationError, match="is no port"):
        choose_port(70000, option="--api-port")


def test_secrets_are_made_once_and_addresses_follow_the_run(home):
    write_environment(home, addresses(1000), mode=None)
    first = read_env_file(home.env_file)
    assert home.env_file.stat().st_mode & 0o777 == 0o600
    assert first["TTS_PROVIDER_MODE"] == "modal"
    assert first["MODAL_JOB_SUBMIT"] == "http://127.0.0.1:1003/job-submit"
    assert first["DATABASE_URL"] == "postgresql://app:secret#1@127.0.0.1:1001/understudy"
    assert len(first["JWT_SECRET"]) >= 48
    assert first["DASHSCOPE_API_KEY"] == standin_key(home)

    text = home.env_file.read_text().replace("TTS_PROVIDER_MODE=modal", "TTS_PROVIDER_MODE='qwen' # by hand")
    home.env_file.write_text(text)
    set_in_env_file(home.env_file, {"DASHSCOPE_API_KEY": "sk-other-000000", "MAX_ACTIVE_GENERATIONS": "3"})
    settings = write_environment(home, addresses(2000), mode=None)
    second = read_env_file(home.env_file)
    assert settings.tts_provider_mode == "qwen"
    assert settings.max_active_generations == 3
    assert second["DASHSCOPE_BASE_URL"] == "http://127.0.0.1:2002"
    for kept in ("JWT_SECRET", "OBJECT_URL_SECRET", "STANDIN_DASHSCOPE_KEY"):
        assert second[kept] == first[kept]
    assert second["DASHSCOPE_API_KEY"] == "sk-other-000000"
    assert "# by hand" in home.env_file.read_text()

    assert write_environment(home, addresses(2000), mode="modal").tts_provider_mode == "modal"


def test_a_public_address_is_kept(home):
    set_in_env_file(home.env_file, {"PUBLIC_BASE_URL": "https://voices.example.org"})
    assert write_environment(home, addresses(), mode=None).public_base_url == "https://voices.example.org"


def test_the_operator_token_is_made_once(home):
    ensure_operator_token(home)
    token = home.operator_token_file.read_text()
    assert home.operator_token_file.stat().st_mode & 0o777 == 0o600
    ensure_operator_token(home)
    assert home.operator_token_file.read_text() == token


def test_nothing_of_the_starting_shell_leaks_into_the_check(home, monkeypatch):
    monkeypatch.setenv("DASHSCOPE_REGION", "nowhere")
    check_environment(home, mode=None, with_standins=True)


@pytest.mark.parametrize(
    ("lines", "with_standins", "words"),
    [
        (
            {"TTS_PROVIDER_MODE": "qwenn"},
            True,
            ["TTS_PROVIDER_MODE", "qwenn", "'modal' or 'qwen'", "understudy.env"],
        ),
        (
            {"DATABASE_URL": "postgresql://u:pw-secret@db.example.org/x"},
            True,
            ["DATABASE_URL", "db.example.org"],
        ),
        (REAL, True, ["MODAL_JOB_SUBMIT", "w--submit.modal.run", "--without-standins"]),
        ({}, False, ["MODAL_JOB_SUBMIT", "MODAL_ENDPOINT_VOICE_DESIGN", "not set"]),
        (
            REAL
            | {
                "DASHSCOPE_REGION": "cn",
                "DASHSCOPE_BASE_URL": "https://dashscope-intl.aliyuncs.com",
            },
            False,
            ["DASHSCOPE_BASE_URL", "DASHSCOPE_REGION=cn", "Make them agree"],
        ),
        (REAL | {"DASHSCOPE_API_KEY": ""}, False, ["DASHSCOPE_API_KEY not set"]),
        (REAL | {"MODAL_JOB_CANCEL": "http://w.modal.run"}, False, ["MODAL_JOB_CANCEL", "https"]),
    ],
)
def test_missing_and_contradictory_settings_are_named(home, lines, with_standins, words):
    set_in_env_file(home.env_file, lines)
    before = home.env_file.read_bytes()
    with pytest.raises(ConfigurationError) as caught:
        check_environment(home, mode=None, with_standins=with_standins)
    for word in words:
        assert word in caught.value.message
    assert "pw-secret" not in caught.value.message
    assert home.env_file.read_bytes() == before


def test_complete_real_settings_pass(home):
    set_in_env_file(home.env_file, REAL)
    check_environment(home, mode=None, with_standins=False)
    settings = write_environment(home, addresses(standins=False), mode=None)
    assert settings.modal_job_submit == REAL["MODAL_JOB_SUBMIT"]


def test_a_line_that_is_no_assignment_is_named(home):
    home.env_file.write_text("A=1\nTTS_PROVIDER_MODE qwen\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        check_environment(home, mode=None, with_standins=True)


async def test_up_refuses_before_it_makes_anything(tmp_path):
    home = tmp_path / "home"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name in ("api_port", "guard_port", "postgres_port"):
            message = await refused(UpOptions(home=home, **{name: port}))
            assert f"Port {port} (--{name.replace('_', '-')}) is in use" in message
    assert "qwenn" in await refused(UpOptions(home=home, mode="qwenn"))
    assert "--window-s" in await refused(UpOptions(home=home, window_s=-1))
    assert "differ" in await refused(UpOptions(home=home, api_port=4999, guard_port=4999))
    assert not home.exists()


async def test_a_second_up_is_told_of_the_first_before_its_ports(home):
    with home.locked(), socket.create_server(("127.0.0.1", 0)) as taken:
        message = await refused(UpOptions(home=home.root, api_port=taken.getsockname()[1]))
    assert f"already runs on {home.root} (process {os.getpid()})" in message
