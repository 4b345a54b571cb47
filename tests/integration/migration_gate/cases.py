"""Tricky files on our own schema and what the gate must say of each: the table of docs/migration-gate.md."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.migration_gate.verdicts import Verdict

ADDITIVE, REVIEW, DESTRUCTIVE, BLOCKED = Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """One file.

    Parameters
    ----------
    rules
        Of every reason, in order; empty for an additive one.
    applies
        Whether Postgres takes it on our schema, so that the catalog can be looked at.
    """

    sql: str
    verdict: Verdict
    rules: tuple[str, ...] = ()
    applies: bool = True


CASES = (
    # What only adds.
    Case("alter table public.voices add column nickname text", ADDITIVE),
    Case("alter table public.voices add column rating integer not null default 0", ADDITIVE),
    Case("create table public.notes (id uuid primary key, note text not null)", ADDITIVE),
    Case("create table public.tmp (id int); drop table public.tmp", ADDITIVE),
    Case(
        "create table public.notes (id int); alter table public.notes enable row level security;"
        " create policy own on public.notes to authenticated using (true);"
        " revoke all on public.notes from anon",
        ADDITIVE,
    ),
    Case(
        "create type public.mood as enum ('calm'); alter type public.mood add value 'glad'",
        ADDITIVE,
        applies=False,
    ),
    Case(
        "alter table public.voices add column shown text;"
        " update public.voices set shown = name where shown is null",
        ADDITIVE,
    ),
    Case(
        "insert into public.profiles (id) select id from auth.users on conflict do nothing",
        ADDITIVE,
        applies=False,
    ),
    Case(
        "do $$ begin if to_regclass('public.extra') is null then create table public.extra (id int); end if;"
        " end $$",
        ADDITIVE,
    ),
    Case(
        "create function public.purge() returns void language sql as"
        " $$ delete from public.tasks where id is null $$",
        ADDITIVE,
    ),
    Case(
        "create type public.mood as enum ('calm', 'glad');"
        " alter type public.mood rename value 'calm' to 'still'",
        ADDITIVE,
    ),
    Case("create index voices_name_idx on public.voices (name)", ADDITIVE),
    Case(
        "create function understudy.budget_window(budget text, at timestamptz, extra int default 0)"
        " returns int language sql as $$ select 1 $$",
        ADDITIVE,
    ),
    # What is lost in plain sight.
    Case("alter table public.voices drop column language", DESTRUCTIVE, ("drop_column",)),
    Case("alter table public.voices rename column name to title", DESTRUCTIVE, ("rename_column",)),
    Case("alter table public.voices rename to voice", DESTRUCTIVE, ("rename_table",)),
    Case("alter table public.voices alter column name type varchar(20)", DESTRUCTIVE, ("alter_type",)),
    Case(
        "alter table public.voices alter column provider_region set not null", DESTRUCTIVE, ("set_not_null",)
    ),
    Case("alter table public.voices add column owner text not null", DESTRUCTIVE, ("add_required_column",)),
    Case("alter table public.voices alter column language drop default", DESTRUCTIVE, ("drop_default",)),
    Case("drop policy select_own on public.voices", DESTRUCTIVE, ("drop_policy",)),
    Case("alter policy select_own on public.voices using (true)", DESTRUCTIVE, ("alter_policy",)),
    Case("alter table public.voices disable row level security", DESTRUCTIVE, ("disable_rls",)),
    Case("revoke select on public.voices from authenticated", DESTRUCTIVE, ("revoke",)),
    Case("drop trigger announce_task on public.tasks", DESTRUCTIVE, ("drop_trigger",)),
    Case("alter table public.tasks disable trigger announce_task", DESTRUCTIVE, ("disable_trigger",)),
    Case("drop index public.tasks_unfinished_idx", DESTRUCTIVE, ("drop_index",)),
    Case("alter table public.voices set schema auth", DESTRUCTIVE, ("set_schema",)),
    Case("drop function understudy.announce_task() cascade", DESTRUCTIVE, ("drop_function",)),
    Case(
        "alter type public.feeling rename value 'calm' to 'still'",
        DESTRUCTIVE,
        ("rename_label",),
        applies=False,
    ),
    Case("drop owned by authenticated", DESTRUCTIVE, ("drop_owned",), applies=False),
    # Rows, which no catalog shows.
    Case("truncate public.tasks", DESTRUCTIVE, ("truncate",)),
    Case("delete from public.tasks where status = 'failed'", DESTRUCTIVE, ("delete",)),
    Case("update public.voices set language = 'Auto' where true", DESTRUCTIVE, ("update_all",)),
    Case("update public.voices set language = 'Auto' where language is null", REVIEW, ("update",)),
    Case(
        "with gone as (delete from public.tasks returning id) select count(*) from gone",
        DESTRUCTIVE,
        ("delete_all",),
    ),
    Case(
        "insert into public.profiles (id) select id from auth.users"
        " on conflict (id) do update set id = excluded.id",
        DESTRUCTIVE,
        ("upsert",),
        applies=False,
    ),
    Case(
        "merge into public.tasks t using public.voices v on t.voice_id = v.id when matched then delete",
        DESTRUCTIVE,
        ("merge",),
    ),
    Case("copy public.voices from program 'cat /etc/passwd'", BLOCKED, ("dynamic_sql",), applies=False),
    Case("explain analyze delete from public.tasks", BLOCKED, ("unknown_statement",)),
    # What is hidden.
    Case("do $$ begin execute 'drop table public.tasks cascade'; end $$", BLOCKED, ("dynamic_sql",)),
    Case("do $$ begin drop table public.tasks cascade; end $$", DESTRUCTIVE, ("drop_table",)),
    Case(
        "do $$ declare n int := 1; begin if n > 2 then delete from public.tasks; end if; end $$",
        DESTRUCTIVE,
        ("delete_all",),
    ),
    Case(
        "create function public.purge() returns void language plpgsql as"
        " $$ begin delete from public.tasks; end $$; select public.purge()",
        DESTRUCTIVE,
        ("body:delete_all", "delete_all"),
    ),
    Case(
        "create function public.purge() returns void begin atomic delete from public.tasks; end",
        REVIEW,
        ("body:delete_all",),
    ),
    Case(
        "select query_to_xml('delete from public.tasks', true, true, '')",
        BLOCKED,
        ("dynamic_sql",),
        applies=False,
    ),
    Case(
        "create function public.raw() returns int language c as 'lib', 'raw'",
        BLOCKED,
        ("body:opaque_body",),
        applies=False,
    ),
    Case("select understudy.drop_bucket_partitions(now())", REVIEW, ("call",)),
    Case("call public.housekeeping()", REVIEW, ("call",), applies=False),
    Case("create table public.kept as execute p", BLOCKED, ("dynamic_sql",), applies=False),
    Case(
        "select id into public.kept from public.voices union select id from public.tasks",
        REVIEW,
        ("select_into",),
    ),
    Case("prepare p as delete from public.tasks; execute p", BLOCKED, ("dynamic_sql", "dynamic_sql")),
    Case(
        "set session_replication_role = replica; select 1", DESTRUCTIVE, ("replication_role",), applies=False
    ),
    Case("select set_config('search_path', 'auth', false)", REVIEW, ("set",)),
    Case(
        "create table if not exists public.tasks (id int); drop table public.tasks cascade",
        DESTRUCTIVE,
        ("drop_table",),
    ),
    Case(
        "create temporary table tasks (id int); drop table tasks; drop table tasks cascade",
        DESTRUCTIVE,
        ("drop_table", "drop_table"),
        applies=False,
    ),
    Case(
        "-- squawk-ignore ban-drop-column\nalter table public.voices drop column language",
        DESTRUCTIVE,
        ("drop_column",),
    ),
    Case(
        "create view public.mine as select * from public.tasks; delete from public.mine",
        DESTRUCTIVE,
        ("delete_all",),
    ),
    Case(
        "create function public.sweep() returns trigger language plpgsql as"
        " $$ begin delete from public.tasks where id = new.id; return new; end $$;"
        " create table public.bait (id uuid);"
        " create trigger sweep before insert on public.bait for each row execute function public.sweep();"
        " insert into public.bait select id from public.tasks",
        DESTRUCTIVE,
        ("delete",),
    ),
    Case(
        "create function public.sweep() returns int language sql as"
        " $$ delete from public.tasks where status <> ''; select 1 $$;"
        " create table public.bait (id int default public.sweep()); insert into public.bait default values",
        DESTRUCTIVE,
        ("delete",),
    ),
    Case(
        "create table public.whole (like public.generations) partition by list (id);"
        " alter table public.whole attach partition public.generations default; truncate public.whole",
        DESTRUCTIVE,
        ("attach", "truncate"),
        applies=False,
    ),
    Case("select 1 operator(public.!!!) 2", REVIEW, ("call",), applies=False),
    # What adds, and narrows.
    Case(
        "create or replace function understudy.announce_task() returns trigger language plpgsql as"
        " $$ begin return null; end $$",
        REVIEW,
        ("replace_function",),
    ),
    Case("create policy everybody on public.voices for select using (true)", REVIEW, ("policy",)),
    Case(
        "create policy nobody on public.voices as restrictive for select using (false)",
        REVIEW,
        ("restrictive_policy",),
    ),
    Case("grant select on public.voices to anon", REVIEW, ("grant_everybody",)),
    Case("grant delete on public.voices to authenticated", REVIEW, ("grant_everybody",)),
    Case("create unique index voices_name_key on public.voices (name)", REVIEW, ("unique",)),
    Case(
        "alter table public.voices add constraint short check (length(name) < 9) not valid",
        REVIEW,
        ("add_constraint",),
    ),
    Case("create table public.notes (voice uuid references public.voices (id))", REVIEW, ("reference",)),
    Case(
        "alter table public.voices add column seen timestamptz not null default clock_timestamp()",
        REVIEW,
        ("rewrite",),
    ),
    Case(
        "create trigger again before insert on public.voices for each row"
        " execute function suppress_redundant_updates_trigger()",
        REVIEW,
        ("trigger",),
    ),
    Case(
        "create rule quiet as on delete to public.voices do instead nothing", DESTRUCTIVE, ("instead_rule",)
    ),
    # What is no SQL.
    Case("alter tabl public.voices add column x int", BLOCKED, ("syntax_error",), applies=False),
    Case("\\i drop_everything.sql", BLOCKED, ("psql_command",), applies=False),
)
