from __future__ import annotations

import io
import os
import stat
import threading
from pathlib import Path

import pytest
from dotenv import dotenv_values
from dotenv.parser import parse_stream
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from understudy.envfile import read_env_file, set_in_env_file, unreadable_lines
from understudy.errors import ConfigurationError
from understudy.settings import Settings

pytestmark = pytest.mark.unit

NAMES = st.from_regex(r"[A-Z_][A-Z0-9_]{0,11}", fullmatch=True)
#: All text an environment can carry: no NUL, no lone surrogates. Weighted to what breaks parsers.
VALUES = st.text(
    st.one_of(
        st.sampled_from("#'\"\\$ {}=\n\r\t`!&;%"), st.characters(blacklist_categories=["Cs"], min_codepoint=1)
    ),
    max_size=24,
)
LINES = st.sampled_from(
    [
        "# a comment",
        "",
        "   ",
        "PLAIN=one",
        "export EXPORTED=two",
        "  INDENTED = three",
        "SINGLE='it is' # why",
        'DOUBLE="a \\"b\\"\\n"#close',
        "HASH=http://h/#part",
        "EMPTY=",
        "EMPTY_COMMENT= # nothing yet",
        "BARE",
        "COMMENTED=x # y # z",
        "'QUOTED KEY'=1",
        "MULTI='line one\nline two'",
        "this is no assignment",
        'BROKEN="never closed',
    ]
)
FILES = st.builds(
    lambda lines, end, last: end.join(lines) + (end if last else ""),
    st.lists(LINES, max_size=8),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)


def parsed(path: Path) -> dict[str, str | None]:
    return dict(dotenv_values(path, encoding="utf-8"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(values=st.dictionaries(NAMES, VALUES, max_size=6))
def test_every_value_comes_back_through_python_dotenv(tmp_path: Path, values: dict[str, str]) -> None:
    path = tmp_path / "round.env"
    path.unlink(missing_ok=True)
    set_in_env_file(path, values)
    assert read_env_file(path) == values
    assert parsed(path) == values


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(text=FILES, value=st.one_of(st.none(), VALUES), data=st.data())
def test_only_the_named_assignment_changes(
    tmp_path: Path, text: str, value: str | None, data: st.DataObject
) -> None:
    path = tmp_path / "edit.env"
    path.write_bytes(text.encode())
    before = parsed(path)
    name = data.draw(st.sampled_from([*(key for key in before if " " not in key), "NEW_NAME"]))
    try:
        set_in_env_file(path, {name: value})
    except ConfigurationError:
        refused_rightly = 'BROKEN="never closed' in text and path.read_bytes() == text.encode()
        assert refused_rightly, text
        return

    after = parsed(path)
    expected = {key: old for key, old in before.items() if key != name}
    if value is not None:
        expected[name] = value
    assert after == expected
    kept = [
        piece.original.string for piece in parse_stream(io.StringIO(text, newline="")) if piece.key != name
    ]
    written = path.read_bytes().decode()
    position = 0
    for piece in kept:  # byte for byte and in order
        position = written.index(piece, position) + len(piece)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("TTS_PROVIDER_MODE=qwen # typed by hand\n", "TTS_PROVIDER_MODE=modal # typed by hand\n"),
        ("export TTS_PROVIDER_MODE='qwen'\n", "export TTS_PROVIDER_MODE='modal'\n"),
        ('\n\n  TTS_PROVIDER_MODE = "qwen"#x\n', '\n\n  TTS_PROVIDER_MODE = "modal"#x\n'),
        ("TTS_PROVIDER_MODE= # none\nA=1", "TTS_PROVIDER_MODE=modal # none\nA=1"),
        ("TTS_PROVIDER_MODE\n", "TTS_PROVIDER_MODE=modal\n"),
        ("A=1", "A=1\nTTS_PROVIDER_MODE=modal\n"),
        ("A=1\r\n", "A=1\r\nTTS_PROVIDER_MODE=modal\r\n"),
        ("", "TTS_PROVIDER_MODE=modal\n"),
        (
            "TTS_PROVIDER_MODE=qwen\nA=1\nTTS_PROVIDER_MODE=qwen\n",
            "TTS_PROVIDER_MODE=modal\nA=1\nTTS_PROVIDER_MODE=modal\n",
        ),
        (
            "TTS_PROVIDER_MODE=modal  # kept byte for byte\n",
            "TTS_PROVIDER_MODE=modal  # kept byte for byte\n",
        ),
    ],
)
def test_form_is_kept(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "form.env"
    path.write_bytes(before.encode())
    set_in_env_file(path, {"TTS_PROVIDER_MODE": "modal"})
    assert path.read_bytes().decode() == after


def test_a_hash_in_a_url_is_quoted_and_reaches_settings(tmp_path: Path) -> None:
    path = tmp_path / "url.env"
    url = "postgresql://app:pa #ss${HOME}@127.0.0.1:5432/understudy"
    set_in_env_file(path, {"DATABASE_URL": url, "MODAL_JOB_SUBMIT": "http://127.0.0.1:1/a?x=1&y=#z"})
    loaded = Settings(_env_file=path)  # type: ignore[call-arg]
    assert loaded.database_url.get_secret_value() == url
    assert loaded.modal_job_submit == "http://127.0.0.1:1/a?x=1&y=#z"


def test_a_new_file_is_private_and_an_old_one_keeps_mode_and_owner(tmp_path: Path) -> None:
    new = tmp_path / "new.env"
    set_in_env_file(new, {"A": "1"})
    assert stat.S_IMODE(new.stat().st_mode) == 0o600

    new.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(new, 65534, 65534)
    owner = (new.stat().st_uid, new.stat().st_gid)
    set_in_env_file(new, {"A": "2"})
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    assert (new.stat().st_uid, new.stat().st_gid) == owner


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.env", tmp_path / "link.env"
    real.write_text("A=1\n")
    link.symlink_to(real)
    set_in_env_file(link, {"A": "2"})
    assert link.is_symlink()
    assert real.read_text() == "A=2\n"


def test_concurrent_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "busy.env"
    set_in_env_file(path, {"START": "1"})

    def write(number: int) -> None:
        for step in range(10):
            set_in_env_file(path, {f"W{number}_{step}": "x"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_env_file(path)) == 41
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["busy.env", "busy.env.lock"]


def test_removing_a_name_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "same.env"
    path.write_text("A=1\n")
    before = path.stat().st_ino
    set_in_env_file(path, {"B": None})
    assert path.stat().st_ino == before


def test_refusals_name_the_cause(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="BAD NAME"):
        set_in_env_file(tmp_path / "x.env", {"BAD NAME": "1"})
    with pytest.raises(ConfigurationError, match="NUL"):
        set_in_env_file(tmp_path / "x.env", {"A": "a\0b"})
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        set_in_env_file(tmp_path / "file" / "x.env", {"A": "1"})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_env_file(tmp_path / "missing.env")
    (tmp_path / "latin.env").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_env_file(tmp_path / "latin.env")


def test_lines_that_readers_would_skip_are_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.env"
    path.write_text("A=1\n\nnot an assignment\nB=2\n")
    assert unreadable_lines(path) == [2]
    assert read_env_file(path) == {"A": "1", "B": "2"}
    assert dict(dotenv_values(stream=io.StringIO(path.read_text()))) == {"A": "1", "B": "2"}


def test_a_quote_left_open_above_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "open.env"
    path.write_text('A=1\nBROKEN="never closed\n')
    with pytest.raises(ConfigurationError, match=r"a quote is left open \(line 2\)"):
        set_in_env_file(path, {"NEW_NAME": '"'})
    assert path.read_text() == 'A=1\nBROKEN="never closed\n'
    set_in_env_file(path, {"NEW_NAME": "plain"})
    assert read_env_file(path)["NEW_NAME"] == "plain"
