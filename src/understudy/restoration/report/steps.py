"""What each step of each action does, in words for whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepWords:
    """One step: what is to be done, and what is so once it is done."""

    to_do: str
    done: str


#: By step; where two actions mean different things by one name, by ``action:step``.
WORDS: Mapping[str, StepWords] = {
    "evidence": StepWords("capture evidence", "evidence captured before anything is touched"),
    "precheck": StepWords("look whether it can begin", "everything it needs is there"),
    "env_switch:precheck": StepWords(
        "ask the side to go back to", "the side to go back to answers, and speaks"
    ),
    "code_rollback:precheck": StepWords(
        "look at the known-good revision", "the known-good revision is whole and fits the schema"
    ),
    "database_restore:precheck": StepWords("choose and prove a backup", "the backup is proven to restore"),
    "reapply_settings:precheck": StepWords(
        "look at the known-good record", "the known-good record is whole, and usable now"
    ),
    "live_override": StepWords("write the live switch", "live switch written"),
    "durable_env": StepWords(
        "write TTS_PROVIDER_MODE into the environment file",
        "TTS_PROVIDER_MODE written to the environment file",
    ),
    "redeploy": StepWords("start every process anew", "new api and worker ready, old ones drained"),
    "read_back": StepWords("read back what is in force", "what was written is in force"),
    "env_switch:read_back": StepWords(
        "read back every process", "every process reads back the known-good provider"
    ),
    "code_rollback:read_back": StepWords(
        "read back every process", "every process runs the known-good revision"
    ),
    "reapply_settings:read_back": StepWords(
        "compare every process's secrets", "every process holds the known-good secrets"
    ),
    "verification": StepWords("run the smoke suite from outside", "smoke suite from outside"),
    "deploy_revision": StepWords(
        "start every process from the known-good revision", "every process started from that revision"
    ),
    "write_settings": StepWords("put settings back", "settings put back as they were known to be good"),
    "close_reads": StepWords("close the reads that leak", "reads that leak are closed"),
    "close_valve": StepWords("refuse new voice designs", "new voice designs are refused"),
    "throttle": StepWords("cap the tenant", "the tenant's cap is set"),
    "quarantine": StepWords("keep broken rows from use", "broken rows are quarantined"),
    "repair": StepWords("repair what can be repaired", "what could be repaired is repaired"),
    "recheck": StepWords("look at the invariants anew", "the invariants hold outside the quarantine"),
    "freeze_writes": StepWords("hold writes", "writes wait, running tasks had a moment to finish"),
    "dump_broken": StepWords("keep a dump of the broken state", "a dump of the broken state is kept"),
    "restore_beside": StepWords("restore the backup", "the backup is restored"),
    "reapply_migrations": StepWords(
        "bring it to the known-good migrations", "it is at the known-good migrations"
    ),
    "replay": StepWords("delete and revoke again", "what was deleted and revoked since is gone again"),
    "reconcile": StepWords(
        "decide the tasks in flight, count what is lost", "tasks in flight are decided, losses counted"
    ),
    "wake": StepWords("write mode, freeze and valves into it", "mode, freeze and valves are in it"),
    "swap": StepWords("put it into service", "every process works on the restored database"),
    "isolation": StepWords("try to read across tenants", "nobody reads what is another tenant's"),
    "unfreeze": StepWords("let writes go again", "writes go again"),
}


def words_of(step: str, action: str | None = None) -> StepWords:
    """Return the words of a step; its own name, spelled out, where there are none."""
    plain = step.replace("_", " ")
    return WORDS.get(f"{action}:{step}") or WORDS.get(step) or StepWords(plain, plain)
