"""The playbook's ``supabase/.env.local`` as the home's environment file: one file under two names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from understudy.envfile import read_env_file, set_in_env_file
from understudy.errors import ConfigurationError
from understudy.processes.env_link import KEPT_NAME, link_env_file
from understudy.processes.home import Home

pytestmark = pytest.mark.unit

TEXT = """# by hand
TTS_PROVIDER_MODE='qwen'   # the switch
MODAL_JOB_SUBMIT="https://x.example/?a=1#frag"
export LOG_LEVEL = debug
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "home")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "supabase").mkdir()
    return tmp_path / "supabase" / ".env.local"


def test_a_switch_by_the_guard_and_an_edit_by_hand_are_one_line(home: Home, file: Path) -> None:
    file.write_text(TEXT)
    file.chmod(0o644)
    link_env_file(home, file)
    set_in_env_file(home.env_file, {"TTS_PROVIDER_MODE": "modal"})
    assert file.read_text() == TEXT.replace("'qwen'", "'modal'")
    file.write_text(TEXT)
    assert read_env_file(home.env_file)["TTS_PROVIDER_MODE"] == "qwen"
    assert read_env_file(home.env_file)["MODAL_JOB_SUBMIT"] == "https://x.example/?a=1#frag"
    assert home.env_file.is_symlink()
    assert not os.path.isabs(os.readlink(home.env_file))  # noqa: PTH115, PTH117  # the text of the link itself
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_only_the_home_said_is_taken_along_and_kept(home: Home, file: Path) -> None:
    home.root.mkdir()
    set_in_env_file(home.env_file, {"JWT_SECRET": "of the home", "TTS_PROVIDER_MODE": "modal"})
    before = home.env_file.read_text()
    file.write_text(TEXT)
    link_env_file(home, file)
    link_env_file(home, file)
    assert read_env_file(file) == {
        "TTS_PROVIDER_MODE": "qwen",
        "MODAL_JOB_SUBMIT": "https://x.example/?a=1#frag",
        "LOG_LEVEL": "debug",
        "JWT_SECRET": "of the home",
    }
    assert file.read_text().startswith(TEXT)
    assert (home.root / KEPT_NAME).read_text() == before


def test_a_file_that_is_not_there_yet_is_made_private(home: Home, file: Path) -> None:
    link_env_file(home, file)
    assert file.read_text() == ""
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_missing_folder_and_another_link_are_refused(home: Home, file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such folder"):
        link_env_file(home, tmp_path / "none" / ".env.local")
    assert not home.env_file.exists()
    link_env_file(home, file)
    with pytest.raises(ConfigurationError, match="already stands for"):
        link_env_file(home, tmp_path / "other.env")
    assert home.env_file.resolve() == file.resolve()
