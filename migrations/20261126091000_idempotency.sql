-- Answers of requests that came with an Idempotency-Key, and who runs one now. Kept for a day.

create table understudy.idempotency_keys (
    user_id uuid not null references auth.users (id) on delete cascade,
    route text not null,
    key text not null check (char_length(key) between 1 and 255),
    fingerprint text not null check (fingerprint ~ '^[0-9a-f]{64}$'),
    -- Who runs it, until when unless that is extended.
    holder uuid not null,
    lease_expires_at timestamptz not null,
    -- Written in the transaction that creates the task: what a retry after a crash goes on with.
    task_id uuid,
    status integer,
    headers jsonb not null default '{}',
    body bytea,
    created_at timestamptz not null default now(),
    primary key (user_id, route, key)
);
create index idempotency_keys_created_at_idx on understudy.idempotency_keys (created_at);

grant select, insert, update, delete on understudy.idempotency_keys to service_role;
alter table understudy.idempotency_keys enable row level security;
create policy service_all on understudy.idempotency_keys to service_role using (true) with check (true);
