"""The same restoration as a person types it, for versions 2 and 3 of the CLI alike."""

from __future__ import annotations

import shlex

from understudy.restoration.targets.base import MODE_VARIABLE
from understudy.restoration.targets.supabase.project import DEFAULT_API_URL, SupabaseProject

#: The playbook's five; their values are addresses that nobody else should know.
MODAL_SECRETS = (
    "MODAL_JOB_SUBMIT",
    "MODAL_JOB_STATUS",
    "MODAL_JOB_RESULT",
    "MODAL_JOB_CANCEL",
    "MODAL_ENDPOINT_VOICE_DESIGN",
)


def commands_for(
    project: SupabaseProject, action: str, *, known_good: str, revision: str | None
) -> tuple[str, ...]:
    """Shell lines of ``action``; empty for one that is no command of the CLI."""
    deploy = f"{_cli(project)} functions deploy {project.function} --use-api --yes"
    tag = shlex.quote(revision) if revision else "<known-good-branch-or-tag>"
    lines: dict[str, tuple[str, ...]] = {
        "env_switch": (
            "# in a folder without a supabase/config.toml: its [edge_runtime.secrets] would be set too",
            f'(cd "$(mktemp -d)" && {_cli(project)} secrets set {MODE_VARIABLE}={known_good} --yes)',
            f"{_cli(project)} secrets list --yes   # no digest but that of {MODE_VARIABLE} may have changed",
            deploy,
            "# the version must have moved, verify_jwt must not:",
            f"{_cli(project)} functions list --output-format json --yes",
        ),
        "code_rollback": (
            "git fetch --all --tags",
            f"git worktree add --detach ../known-good {tag}",
            f"ls ../known-good/{project.entrypoint} ../known-good/supabase/config.toml",
            f"{deploy} --workdir ../known-good",
            "# the version must have moved, verify_jwt must not:",
            f"{_cli(project)} functions list --output-format json --yes",
            "git worktree remove --force ../known-good   # the CLI leaves files of its own in it",
            "# applied database migrations and remote secrets stay as they are",
        ),
        "database_restore": (
            f"{_cli(project)} backups list --yes",
            "# first a dump of the broken state: the recovery overwrites everything after its point in time",
            "pg_dump -Fc --file broken.dump '<database-url-on-port-5432>'",
            f"{_cli(project)} backups restore --timestamp <unix-seconds-before-the-damage> --yes",
            "# without point-in-time recovery: make a fresh project, restore the newest good dump there, and",
            "# move the service to it; the Management API applies no daily backup",
        ),
        "reapply_settings": (
            "# one NAME='value' a line in a file that only you can read, written outside any repository",
            *(f"#   {name}='<url>'" for name in MODAL_SECRETS),
            '(umask 077; cd "$(mktemp -d)" && "${EDITOR:-vi}" values.env &&',
            f"  {_cli(project)} secrets set --env-file values.env --yes; rm -f values.env)",
            deploy,
        ),
    }
    found = lines.get(action, ())
    return (*_preamble(project), *found) if found else ()


def _preamble(project: SupabaseProject) -> tuple[str, ...]:
    lines = [
        f"export SUPABASE_PROJECT_ID={project.ref}",
        f"export {project.token_variable}=<access-token>",
    ]
    if project.token_variable != "SUPABASE_ACCESS_TOKEN":  # noqa: S105  # the name of a variable
        lines.append(f'export SUPABASE_ACCESS_TOKEN="${project.token_variable}"')
    if project.api_url != DEFAULT_API_URL:
        lines.append(f"export SUPABASE_PROFILE=<file that names {project.api_url} as its api_url>")
    return tuple(lines)


def _cli(project: SupabaseProject) -> str:
    return shlex.join(project.command)
