-- What the service and the restoration engine share: the provider mode, who runs, what every call did.

alter table public.voices
    add column if not exists reference_sha256 text,
    add column if not exists reference_content_type text,
    add column if not exists designed_task_id uuid;
create unique index if not exists voices_designed_task_id_key on public.voices (designed_task_id);

alter table public.generations
    add column if not exists mode_epoch bigint,
    add column if not exists audio_content_type text,
    add column if not exists audio_sha256 text;

alter table public.tasks
    add column if not exists mode_epoch bigint,
    add column if not exists attempts integer not null default 0,
    add column if not exists claimed_by text,
    add column if not exists lease_expires_at timestamptz,
    add column if not exists deadline_at timestamptz,
    add column if not exists dispatched_at timestamptz;

create schema if not exists understudy;
grant usage on schema understudy to service_role;

-- One row: which provider serves. The environment is the durable truth; this overrides it live.
create table understudy.provider_mode (
    only_row boolean primary key default true check (only_row),
    value text not null,
    epoch bigint not null check (epoch > 0),
    actor text not null,
    reason text not null,
    incident text,
    env_value text not null,
    changed_at timestamptz not null default now()
);

create table understudy.provider_mode_history (
    epoch bigint primary key,
    previous_value text,
    value text not null,
    actor text not null,
    reason text not null,
    incident text,
    env_value text not null,
    changed_at timestamptz not null
);

-- Epochs only grow, whoever writes: a restored or hand-edited row cannot take the mode back.
create function understudy.keep_mode_epoch() returns trigger language plpgsql set search_path = '' as
$$
begin
    if new.epoch < old.epoch or (new.epoch = old.epoch and new.value is distinct from old.value) then
        raise exception 'mode epoch % cannot follow %', new.epoch, old.epoch
            using errcode = 'check_violation', constraint = 'provider_mode_epoch_grows';
    end if;
    return new;
end
$$;
create trigger keep_mode_epoch before update on understudy.provider_mode
    for each row execute function understudy.keep_mode_epoch();

create table understudy.processes (
    instance uuid primary key,
    kind text not null,
    pid integer not null,
    host text not null,
    mode_value text,
    mode_epoch bigint,
    mode_state text,
    env_value text,
    started_at timestamptz not null,
    seen_at timestamptz not null default now()
);

-- One row a provider call, written with the task's end. Times are the end of the call.
create table understudy.provider_calls (
    id bigint generated always as identity primary key,
    at timestamptz not null,
    operation text not null,
    provider text not null,
    model text not null,
    outcome text not null check (outcome in ('ok', 'failed', 'cancelled')),
    category text,
    failure_class text,
    code text,
    latency_ms integer not null check (latency_ms >= 0),
    first_audio_ms integer check (first_audio_ms >= 0),
    characters integer not null default 0 check (characters >= 0),
    audio_ms integer not null default 0 check (audio_ms >= 0),
    cost_microusd bigint not null default 0 check (cost_microusd >= 0),
    request_id text,
    user_id uuid,
    task_id uuid,
    mode_epoch bigint not null,
    synthetic boolean not null default false
);
create index provider_calls_at_idx on understudy.provider_calls (at);
create index provider_calls_task_id_idx on understudy.provider_calls (task_id) where task_id is not null;

-- Canary identities: their calls are synthetic and stay out of what users see.
create table understudy.synthetic_users (
    user_id uuid primary key,
    label text not null,
    created_at timestamptz not null default now()
);

-- The embedded issuer's refresh tokens, as hashes. GoTrue keeps its own in auth.refresh_tokens, shaped otherwise.
create table understudy.refresh_tokens (
    token_hash text primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    session_id uuid not null,
    parent_hash text,
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    used_at timestamptz,
    revoked_at timestamptz
);
create index refresh_tokens_session_id_idx on understudy.refresh_tokens (session_id);
create index refresh_tokens_user_id_idx on understudy.refresh_tokens (user_id);

-- Hashes of applied files; the runner makes it too, for it needs it before this file.
create table if not exists understudy.migration_files (
    version text primary key,
    name text not null,
    sha256 text not null,
    applied_at timestamptz not null default now()
);

grant select, insert, update on understudy.provider_mode to service_role;
grant select, insert on understudy.provider_mode_history to service_role;
grant select, insert, update, delete on understudy.processes to service_role;
grant select, insert on understudy.provider_calls to service_role;
grant select, insert, update, delete on understudy.synthetic_users to service_role;
grant select, insert, update, delete on understudy.refresh_tokens to service_role;
grant select on understudy.migration_files to service_role;

alter table understudy.provider_mode enable row level security;
alter table understudy.provider_mode_history enable row level security;
alter table understudy.processes enable row level security;
alter table understudy.provider_calls enable row level security;
alter table understudy.synthetic_users enable row level security;
alter table understudy.refresh_tokens enable row level security;
alter table understudy.migration_files enable row level security;

create policy service_all on understudy.provider_mode to service_role using (true) with check (true);
create policy service_all on understudy.provider_mode_history to service_role using (true) with check (true);
create policy service_all on understudy.processes to service_role using (true) with check (true);
create policy service_all on understudy.provider_calls to service_role using (true) with check (true);
create policy service_all on understudy.synthetic_users to service_role using (true) with check (true);
create policy service_all on understudy.refresh_tokens to service_role using (true) with check (true);
create policy service_all on understudy.migration_files to service_role using (true) with check (true);

-- Who waits for a task hears of every status change; identical notices of one transaction are sent once.
create function understudy.announce_task() returns trigger language plpgsql set search_path = '' as
$$
begin
    perform pg_catalog.pg_notify('understudy_task', new.id::text);
    return null;
end
$$;
create trigger announce_task_status after update of status on public.tasks
    for each row when (old.status is distinct from new.status) execute function understudy.announce_task();
create trigger announce_task after insert on public.tasks
    for each row execute function understudy.announce_task();

-- The service compares its files with the history when it starts.
create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
    version text primary key,
    statements text[],
    name text
);
grant usage on schema supabase_migrations to service_role;
grant select on supabase_migrations.schema_migrations to service_role;
