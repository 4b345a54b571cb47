-- What rung 0 of the ladder leaves in the product: reads that are closed, and rows that are kept from use.

-- Kinds of reads that answer 503; a kind without a row is open. Epochs grow over all kinds together.
create table understudy.closed_reads (
    name text primary key check (name in ('voices', 'generations', 'tasks', 'audio', 'account')),
    closed boolean not null,
    epoch bigint not null check (epoch > 0),
    actor text not null,
    reason text not null,
    changed_at timestamptz not null default now()
);

create table understudy.closed_reads_history (
    id bigint generated always as identity primary key,
    name text not null,
    closed boolean not null,
    epoch bigint not null,
    actor text not null,
    reason text not null,
    changed_at timestamptz not null
);

-- The newest epoch of closed reads that a process holds; empty where its code knows none.
alter table understudy.processes add column if not exists reads_epoch bigint;

-- The route whose answer held a secret; an invariant's name for each reason why a row is in quarantine.
alter table understudy.secret_hits add column if not exists route text;
alter table public.voices add column if not exists quarantined_for text[] not null default '{}';
alter table public.generations add column if not exists quarantined_for text[] not null default '{}';
alter table public.tasks add column if not exists quarantined_for text[] not null default '{}';

-- Rows and objects that broke an invariant, what repair made of them, and how they came out again. No foreign
-- key: the entry outlives the row. `replaced` holds ids and digests that repair wrote over, never contents.
create table understudy.quarantine (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('voice', 'generation', 'task', 'object', 'ledger')),
    subject text not null,
    user_id uuid,
    invariant text not null,
    incident text,
    actor text not null,
    reason text not null,
    quarantined_at timestamptz not null default clock_timestamp(),
    outcome text check (outcome in ('repaired', 'failed', 'needs_enrolment', 'unrepaired', 'listed')),
    detail text,
    repaired_at timestamptz,
    replaced jsonb not null default '{}',
    owed_microusd bigint not null default 0 check (owed_microusd >= 0),
    released_at timestamptz,
    released_by text,
    release_reason text
);
create unique index quarantine_open_key on understudy.quarantine (invariant, kind, subject)
    where released_at is null;
create index quarantine_user_id_idx on understudy.quarantine (user_id) where user_id is not null;

grant select, insert, update on understudy.closed_reads to service_role;
grant select, insert on understudy.closed_reads_history to service_role;
grant select, insert, update, delete on understudy.quarantine to service_role;

alter table understudy.closed_reads enable row level security;
alter table understudy.closed_reads_history enable row level security;
alter table understudy.quarantine enable row level security;

create policy service_all on understudy.closed_reads to service_role using (true) with check (true);
create policy service_all on understudy.closed_reads_history to service_role using (true) with check (true);
create policy service_all on understudy.quarantine to service_role using (true) with check (true);
