-- Who pays for a provider call: the tenant, or we. Ours are canaries' calls, calls that gave nothing, and the
-- repetition of a submission of which nobody knows whether the first one reached the provider.

alter table understudy.provider_calls
    add column if not exists billable boolean not null default true;

-- A task is billed once, whatever the code believes. Canaries of before this migration are told by `synthetic`.
create unique index if not exists provider_calls_billed_once_key on understudy.provider_calls (task_id)
    where task_id is not null and billable and outcome = 'ok' and not synthetic;

-- One tenant's usage of a time, and what was at our cost.
create index if not exists provider_calls_user_id_at_idx on understudy.provider_calls (user_id, at)
    where user_id is not null;
