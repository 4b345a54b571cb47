from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from understudy.environments import (
    EnvironmentName,
    TargetKind,
    apply,
    builtin_local,
    config_file,
    find_environment,
    load_environments,
)
from understudy.errors import ConfigurationError

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "deploy" / "understudy.toml.example"
REF = "abcdefghijklmnopqrst"

COMMAND = """
[environments.prod]
target = "command"
base_url = "https://voices.example.com"
owner = "Grace"
[environments.prod.commands]
read_env = ["ops/env", "read"]
write_env = ["ops/env", "write"]
redeploy = ["ops/deploy", "{deployment_id}"]
"""


@pytest.fixture(autouse=True)
def _no_environment_of_the_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("UNDERSTUDY_CONFIG", "UNDERSTUDY_HOME", "UNDERSTUDY_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def write(folder: Path, text: str) -> Path:
    file = folder / "understudy.toml"
    file.write_text(text)
    return file


def test_the_example_lists_the_three_environments(tmp_path: Path) -> None:
    file = tmp_path / "understudy.toml"
    shutil.copy(EXAMPLE, file)
    found = load_environments(file)
    assert list(found) == [EnvironmentName.LOCAL, EnvironmentName.STAGING, EnvironmentName.PROD]
    assert [each.target for each in found.values()] == [
        TargetKind.LOCAL,
        TargetKind.SUPABASE,
        TargetKind.COMMAND,
    ]
    staging, prod = found[EnvironmentName.STAGING], found[EnvironmentName.PROD]
    assert staging.base_url == f"https://{REF}.supabase.co/functions/v1"
    assert staging.auth_url == f"https://{REF}.supabase.co/auth/v1"
    assert (staging.live_switch, staging.kinds) == (False, ("api",))
    assert (prod.live_switch, prod.home, prod.is_production) == (
        True,
        tmp_path / ".understudy" / "prod",
        True,
    )
    assert prod.commands is not None
    assert prod.commands.database is not None


def test_without_a_file_there_is_this_machine_alone(tmp_path: Path) -> None:
    assert config_file() is None
    assert load_environments(None) == {EnvironmentName.LOCAL: builtin_local()}
    assert find_environment("local").home == tmp_path / ".understudy"
    with pytest.raises(ConfigurationError, match=r"'prod': there is no understudy\.toml"):
        find_environment("prod")


def test_the_file_is_looked_for_where_one_works_then_in_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, named = tmp_path / "home", tmp_path / "other.toml"
    home.mkdir()
    in_home = write(home, '[environments.local]\ntarget = "local"\n')
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    assert config_file() == in_home
    here = write(tmp_path, in_home.read_text())
    assert config_file() == here
    named.write_text(in_home.read_text())
    monkeypatch.setenv("UNDERSTUDY_CONFIG", str(named))
    assert config_file() == named
    monkeypatch.setenv("UNDERSTUDY_CONFIG", str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigurationError, match="there is no such file"):
        config_file()


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[environments.local]\ntarget = "local"\nhom = "x"\n', 3, "there is no such field"),
        ('[environments.local]\n\ntarget = "docker"\n', 3, "'local', 'supabase' or 'command'"),
        ('[environments.dev]\ntarget = "local"\n', 1, "'local', 'staging' or 'prod'"),
        ('[environments.staging]\ntarget = "supabase"\nproject_ref = "SHORT"\n', 1, "20 lower-case letters"),
        ('[environments.local]\ntarget = "local"\nproject_ref = "a"\n', 1, 'belongs to target "supabase"'),
        (
            '[environments.staging]\ntarget = "command"\nbase_url = "https://x.example"\n',
            1,
            "a [commands] table",
        ),
        (COMMAND.replace('"https://voices', '"http://voices'), 2, "only https is allowed"),
        (COMMAND + 'status = ["ops/deploy", "{id}"]\n', 6, "no placeholder {id}"),
        (COMMAND + 'deploy_revision = ["ops/deploy"]\n', 6, "never says {revision}"),
        (COMMAND + "timeout_s = 0\n", 10, "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(ConfigurationError) as caught:
        load_environments(file)
    assert f"{file}, line {line}: " in caught.value.message
    assert said in caught.value.message


def test_what_is_no_toml_is_told_with_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, "[environments.local]\ntarget = local\n")
    with pytest.raises(ConfigurationError, match=r"is not TOML: .*line 2"):
        load_environments(file)


@pytest.mark.parametrize(
    "text",
    [
        '[environments.local]\ntarget = "local"\n[environments.local.secrets]\nDATABASE_URL = "{}"\n',
        '[environments.local]\ntarget = "local"\nowner = "{}"\n',
        COMMAND + 'revision = ["ops/which", "{}"]\n',
    ],
)
@pytest.mark.parametrize(
    "secret",
    [
        "postgresql://owner:hunter22@db.example.com/postgres",
        "sbp_0123456789abcdef0123456789abcdef01234567",
        "sk-0123456789abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "ghp_0123456789abcdefghij",
    ],
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str, secret: str) -> None:
    file = write(tmp_path, text.replace("{}", secret))
    with pytest.raises(ConfigurationError) as caught:
        load_environments(file)
    assert secret not in caught.value.message
    assert "secret" in caught.value.message


def test_a_bare_value_is_no_name_of_a_secret(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[environments.local]\ntarget = "local"\nsecrets = { JWT_SECRET = "correct horse" }\n'
    )
    with pytest.raises(ConfigurationError, match='"env:NAME" for a variable, "file:PATH" for a file'):
        load_environments(file)


def test_production_has_an_owner_and_no_home_is_shared(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"environments\.prod needs an owner"):
        load_environments(write(tmp_path, COMMAND.replace('owner = "Grace"\n', "")))
    shared = '[environments.local]\ntarget = "local"\nhome = "h"\n' + COMMAND.replace(
        'owner = "Grace"', 'owner = "Grace"\nhome = "h"'
    )
    with pytest.raises(ConfigurationError, match="share the home"):
        load_environments(write(tmp_path, shared))


def test_secrets_are_read_from_where_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = COMMAND.replace(
        "[environments.prod.commands]",
        '[environments.prod.secrets]\nDATABASE_URL = "env:PROD_DB"\nMODAL_SECRET = "file:keys/modal"\n'
        'LOST = "env:NOWHERE"\n[environments.prod.commands]',
    )
    prod = load_environments(write(tmp_path, text))[EnvironmentName.PROD]
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "modal").write_text("ws-secret\n")
    monkeypatch.setenv("PROD_DB", "postgresql://prod")
    assert prod.secret("DATABASE_URL").get_secret_value() == "postgresql://prod"
    assert prod.secret("MODAL_SECRET").get_secret_value() == "ws-secret"
    assert sorted(prod.present_secrets()) == ["DATABASE_URL", "MODAL_SECRET"]
    with pytest.raises(ConfigurationError, match=r"LOST .* is env:NOWHERE, and that holds nothing"):
        prod.secret("LOST")
    with pytest.raises(ConfigurationError, match=r"needs JWT_SECRET\. Name it under"):
        prod.secret("JWT_SECRET")


def test_a_named_environment_takes_nothing_of_the_shell_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = COMMAND + '[environments.prod.secrets]\nDATABASE_URL = "env:PROD_DB"\n'
    prod = load_environments(write(tmp_path, text))[EnvironmentName.PROD]
    monkeypatch.setenv("PROD_DB", "postgresql://prod")
    environ = {
        "PATH": "/bin",
        "DATABASE_URL": "postgresql://staging",
        "MIGRATION_DATABASE_URL": "postgresql://staging-owner",
        "UNDERSTUDY_HOME": "elsewhere",
        "UNDERSTUDY_ENV_FILE": "elsewhere.env",
    }
    apply(prod, environ, named=True)
    assert environ == {
        "PATH": "/bin",
        "DATABASE_URL": "postgresql://prod",
        "UNDERSTUDY_HOME": str(tmp_path / ".understudy" / "prod"),
        "UNDERSTUDY_BASE_URL": "https://voices.example.com",
    }


def test_the_local_one_that_nobody_named_only_fills_what_is_open(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[environments.local]\ntarget = "local"\nhome = "h"\nsignal_source = "prometheus"\n'
    )
    local = load_environments(file)[EnvironmentName.LOCAL]
    environ = {"UNDERSTUDY_HOME": "mine", "DATABASE_URL": "postgresql://mine"}
    apply(local, environ, named=False)
    assert environ == {
        "UNDERSTUDY_HOME": "mine",
        "DATABASE_URL": "postgresql://mine",
        "GUARD_SIGNAL_SOURCE": "prometheus",
    }
