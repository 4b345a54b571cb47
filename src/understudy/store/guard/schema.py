"""Tables of the guard's store, a script a version: SQLite's and Postgres's say the same."""

from __future__ import annotations

from understudy.store.guard.rows import TERMINAL_STATES

SCHEMA_VERSION = 3
#: Postgres: the schema that holds the tables.
POSTGRES_SCHEMA = "understudy_guard"

_SQLITE_1 = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE lease (
    environment TEXT PRIMARY KEY, holder TEXT NOT NULL, epoch INTEGER NOT NULL, expires_at TEXT NOT NULL
) STRICT;
CREATE TABLE incidents (
    id TEXT PRIMARY KEY, environment TEXT NOT NULL, state TEXT NOT NULL, title TEXT NOT NULL,
    opened_at TEXT NOT NULL, updated_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX one_open_incident ON incidents (environment) WHERE state NOT IN {TERMINAL_STATES!r};
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, incident TEXT NOT NULL, kind TEXT NOT NULL, step TEXT,
    actor TEXT NOT NULL, lease_epoch INTEGER, body TEXT NOT NULL,
    prev_hash TEXT NOT NULL, hash TEXT NOT NULL UNIQUE
) STRICT;
CREATE INDEX journal_incident ON journal (incident, seq);
CREATE TRIGGER journal_is_never_changed BEFORE UPDATE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_is_never_deleted BEFORE DELETE ON journal
    BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TABLE operators (token_sha256 TEXT PRIMARY KEY, label TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;
"""

_SQLITE_2 = """
ALTER TABLE operators ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
ALTER TABLE operators ADD COLUMN last_used_at TEXT;
ALTER TABLE operators ADD COLUMN revoked_at TEXT;
CREATE TABLE outbox_channels (
    channel TEXT PRIMARY KEY, sent_seq INTEGER NOT NULL, delivered INTEGER NOT NULL,
    attempts INTEGER NOT NULL, failing_since TEXT, next_attempt_at TEXT, last_error TEXT,
    last_delivered_at TEXT
) STRICT;
CREATE TABLE dead_letters (
    channel TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, attempts INTEGER NOT NULL,
    reason TEXT NOT NULL, PRIMARY KEY (channel, seq)
) STRICT;
CREATE TABLE alerts (
    fingerprint TEXT NOT NULL, starts_at TEXT NOT NULL, status TEXT NOT NULL, group_key TEXT NOT NULL,
    episode TEXT NOT NULL, labels TEXT NOT NULL, annotations TEXT NOT NULL, first_seen_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL, times INTEGER NOT NULL, resolved_at TEXT, taken_at TEXT,
    PRIMARY KEY (fingerprint, starts_at)
) STRICT;
CREATE INDEX alerts_group ON alerts (group_key, last_seen_at);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
CREATE TABLE known_good (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, document TEXT NOT NULL
) STRICT;
"""

_SQLITE_3 = """
CREATE TABLE chart_memory (
    environment TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, subject TEXT NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY (environment, kind, at, subject)
) STRICT;
CREATE INDEX journal_persons ON journal (seq) WHERE substr(actor, 1, 7) = 'person:';
CREATE INDEX journal_person ON journal (actor, seq) WHERE substr(actor, 1, 7) = 'person:';
"""

_POSTGRES_1 = f"""
CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL);
CREATE TABLE lease (
    environment text PRIMARY KEY, holder text NOT NULL, epoch bigint NOT NULL, expires_at text NOT NULL
);
CREATE TABLE incidents (
    id text PRIMARY KEY, environment text NOT NULL, state text NOT NULL, title text NOT NULL,
    opened_at text NOT NULL, updated_at text NOT NULL
);
CREATE UNIQUE INDEX one_open_incident ON incidents (environment) WHERE state NOT IN {TERMINAL_STATES!r};
CREATE TABLE journal (
    seq bigint PRIMARY KEY, at text NOT NULL, incident text NOT NULL, kind text NOT NULL, step text,
    actor text NOT NULL, lease_epoch bigint, body text NOT NULL,
    prev_hash text NOT NULL, hash text NOT NULL UNIQUE
);
CREATE INDEX journal_incident ON journal (incident, seq);
CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$;
CREATE TRIGGER journal_is_never_changed BEFORE UPDATE OR DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION journal_is_append_only();
CREATE TRIGGER journal_is_never_emptied BEFORE TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();
CREATE TABLE operators (token_sha256 text PRIMARY KEY, label text NOT NULL, created_at text NOT NULL);
"""

_TYPES = (("TEXT", "text"), ("INTEGER", "bigint"), (") STRICT;", ");"))


def _postgres(script: str) -> str:
    for sqlite_word, postgres_word in _TYPES:
        script = script.replace(sqlite_word, postgres_word)
    return script


SQLITE_SCRIPTS = (_SQLITE_1, _SQLITE_2, _SQLITE_3)
POSTGRES_SCRIPTS = (_POSTGRES_1, _postgres(_SQLITE_2), _postgres(_SQLITE_3))
