-- What a process notices that is no provider call: admissions refused, secrets in logs and answers, signals lost.

-- Admissions asked for, and those refused with 409 because of the mode or of a voice's coverage, in buckets of
-- 5 s. Instances add to their own rows only, so that none waits for another.
create table understudy.refusals (
    bucket_at timestamptz not null,
    provider text not null,
    mode_epoch bigint not null,
    operation text not null,
    instance uuid not null,
    asked integer not null default 0 check (asked >= 0),
    refused integer not null default 0 check (refused >= 0),
    primary key (bucket_at, provider, mode_epoch, operation, instance)
);

-- The name of a secret or of a planted canary that stood in a log line or an answer before it was taken out;
-- never its value.
create table understudy.secret_hits (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    "where" text not null check ("where" in ('log', 'response')),
    process text not null,
    instance uuid not null,
    name text not null check (char_length(name) between 1 and 100),
    count integer not null check (count > 0)
);
create index secret_hits_at_idx on understudy.secret_hits (at);

-- Signals that a process could not keep: its queue was full, or the store was away.
create table understudy.signal_drops (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    process text not null,
    instance uuid not null,
    dropped integer not null check (dropped > 0)
);
create index signal_drops_at_idx on understudy.signal_drops (at);

grant select, insert, update, delete on understudy.refusals to service_role;
grant select, insert, delete on understudy.secret_hits to service_role;
grant select, insert, delete on understudy.signal_drops to service_role;
alter table understudy.refusals enable row level security;
alter table understudy.secret_hits enable row level security;
alter table understudy.signal_drops enable row level security;
create policy service_all on understudy.refusals to service_role using (true) with check (true);
create policy service_all on understudy.secret_hits to service_role using (true) with check (true);
create policy service_all on understudy.signal_drops to service_role using (true) with check (true);

-- By setting's name: a keyed digest of each secret that the process holds. Equal secrets, equal digests. A short
-- secret could be guessed from its digest, so only service_role reads them.
alter table understudy.processes add column if not exists secret_digests jsonb not null default '{}';

-- Of a billed design: SHA-256 of the normalised prompt. The same prompt again and again is paid again and again.
alter table understudy.provider_calls
    add column if not exists subject_digest text;
create index if not exists provider_calls_subject_digest_idx
    on understudy.provider_calls (at, user_id, subject_digest) where subject_digest is not null;
-- It is of a tenant's words: an erasure takes it away.
grant update (subject_digest) on understudy.provider_calls to service_role;
