-- Voices made known to another provider: one durable intent a voice before each billed create, and the budget
-- of the run that ordered it.

create table understudy.carry_over_runs (
    id uuid primary key,
    provider text not null,
    actor text not null,
    budget_microusd bigint not null check (budget_microusd >= 0),
    reserved_microusd bigint not null default 0,
    started_at timestamptz not null default now(),
    ended_at timestamptz,
    -- Never exceeded, whatever the code believes.
    constraint carry_over_runs_within_budget check (reserved_microusd between 0 and budget_microusd)
);

-- Intended: the create may have reached the provider, so it is looked up before it is sent again.
create table understudy.carry_overs (
    voice_id uuid not null,
    provider text not null,
    target_model text not null,
    region text not null,
    user_id uuid not null,
    run_id uuid not null,
    label text not null,
    state text not null check (state in ('intended', 'done', 'failed', 'deleted')),
    cost_microusd bigint not null check (cost_microusd >= 0),
    attempts integer not null default 1,
    provider_voice_id text,
    error text,
    intended_at timestamptz not null default now(),
    ended_at timestamptz,
    primary key (voice_id, provider, target_model, region)
);
create index carry_overs_run_id_idx on understudy.carry_overs (run_id);
create index carry_overs_user_id_idx on understudy.carry_overs (user_id);

grant select, insert, update, delete on understudy.carry_over_runs to service_role;
grant select, insert, update, delete on understudy.carry_overs to service_role;
alter table understudy.carry_over_runs enable row level security;
alter table understudy.carry_overs enable row level security;
create policy service_all on understudy.carry_over_runs to service_role using (true) with check (true);
create policy service_all on understudy.carry_overs to service_role using (true) with check (true);
