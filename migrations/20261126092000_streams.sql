-- Speech that is sent while it is spoken, and what the players of it saw.

-- 'stream': spoken inside the request that asked for it, by the process that holds it; no worker takes it over.
alter table public.tasks
    add column if not exists delivery text not null default 'queued' check (delivery in ('queued', 'stream'));

-- What a player reported. No foreign key to the generation: a signal outlives what it is about.
create table understudy.playback_events (
    id bigint generated always as identity primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    generation_id uuid not null,
    event text not null check (event in ('started', 'stalled', 'decode_error', 'ended_early', 'ended')),
    -- By the player's clock; received_at is by ours.
    at timestamptz not null,
    received_at timestamptz not null default clock_timestamp(),
    position_ms integer check (position_ms >= 0),
    client text not null check (char_length(client) between 1 and 100),
    client_version text not null check (char_length(client_version) between 1 and 100),
    detail text check (char_length(detail) <= 500),
    -- Of the generation, kept here: verdicts are per provider and epoch.
    provider text not null,
    mode_epoch bigint,
    synthetic boolean not null default false,
    -- A beacon that is sent twice is one event.
    unique (generation_id, event, at)
);
create index playback_events_received_at_idx on understudy.playback_events (received_at);
create index playback_events_user_id_idx on understudy.playback_events (user_id);

grant select, insert, delete on understudy.playback_events to service_role;
alter table understudy.playback_events enable row level security;
create policy service_all on understudy.playback_events to service_role using (true) with check (true);
