-- Consent to clones, erased accounts, and what the collection of stored audio has seen.

alter table public.voices
    add column if not exists consent_statement text check (char_length(consent_statement) between 1 and 500),
    add column if not exists consent_name text check (char_length(consent_name) between 1 and 100),
    add column if not exists consent_at timestamptz,
    add column if not exists consent_reference_sha256 text;

-- Whose is this object? Asked for every object in turn.
create index if not exists voices_reference_object_key_idx on public.voices (reference_object_key);
create index if not exists generations_audio_object_key_idx on public.generations (audio_object_key);

-- One row an erased account: no foreign key, it outlives the account and is replayed after a restore.
create table understudy.erasures (
    user_id uuid primary key,
    actor text not null,
    requested_at timestamptz not null,
    completed_at timestamptz,
    counts jsonb not null default '{}',
    provider_voices jsonb not null default '[]'
);
create index erasures_unfinished_idx on understudy.erasures (requested_at) where completed_at is null;

-- An object without a row (orphan), or a row without its object (missing). Keys sort by bytes, as in S3.
create table understudy.object_sightings (
    kind text not null check (kind in ('orphan', 'missing')),
    bucket text not null,
    key text collate "C" not null,
    size bigint not null default 0,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    primary key (kind, bucket, key)
);

-- One row: when audio and signals were last collected, and where the next run goes on.
create table understudy.collection_state (
    only_row boolean primary key default true check (only_row),
    started_at timestamptz not null,
    finished_at timestamptz,
    cursors jsonb not null default '{}',
    report jsonb not null default '{}'
);

grant select, insert, update, delete on understudy.erasures to service_role;
grant select, insert, update, delete on understudy.object_sightings to service_role;
grant select, insert, update on understudy.collection_state to service_role;
-- Old call records go; those of an erased account keep their numbers and lose the account.
grant delete, update (user_id) on understudy.provider_calls to service_role;

alter table understudy.erasures enable row level security;
alter table understudy.object_sightings enable row level security;
alter table understudy.collection_state enable row level security;

create policy service_all on understudy.erasures to service_role using (true) with check (true);
create policy service_all on understudy.object_sightings to service_role using (true) with check (true);
create policy service_all on understudy.collection_state to service_role using (true) with check (true);
