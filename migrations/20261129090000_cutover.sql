-- Forward again: one row says which share of tenants the candidate serves. It is in force only while its epoch is
-- above the provider mode's, so whatever writes the mode ends it.

create table understudy.cutover (
    only_row boolean primary key default true check (only_row),
    seq bigint not null check (seq > 0),
    candidate text not null,
    percent integer not null check (percent between 0 and 100),
    stage integer not null check (stage >= 0),
    state text not null
        check (state in ('running', 'paused', 'finishing', 'complete', 'returned', 'superseded')),
    epoch bigint not null check (epoch > 0),
    -- Under this epoch the candidate's calls of the stage are on record.
    stage_epoch bigint not null check (stage_epoch > 0),
    owner text not null,
    plan jsonb not null,
    plan_sha256 text not null,
    actor text not null,
    reason text not null,
    incident text,
    started_at timestamptz not null,
    stage_started_at timestamptz not null,
    -- Past it nobody watches, and the mode row serves everybody.
    watched_until timestamptz not null,
    -- Grows with every change of understudy.cutover_stays.
    membership bigint not null default 0,
    changed_at timestamptz not null default now()
);

create table understudy.cutover_history (
    epoch bigint primary key,
    seq bigint not null,
    candidate text not null,
    percent integer not null,
    stage integer not null,
    state text not null,
    stage_epoch bigint not null,
    owner text not null,
    plan_sha256 text not null,
    actor text not null,
    reason text not null,
    incident text,
    evidence jsonb not null default '{}',
    changed_at timestamptz not null
);

-- Tenants of the stage's share that stay where they are: a voice they use does not speak at the candidate yet.
create table understudy.cutover_stays (
    user_id uuid primary key,
    voices integer not null,
    noted_at timestamptz not null default now()
);

-- The newest cutover epoch that each process holds; null before the first cutover.
alter table understudy.processes add column if not exists cutover_epoch bigint;

-- Epochs only grow, whoever writes.
create function understudy.keep_cutover_epoch() returns trigger language plpgsql set search_path = '' as
$$
begin
    if new.epoch < old.epoch or (new.epoch = old.epoch and (new.percent, new.state) is distinct from (old.percent, old.state)) then
        raise exception 'cutover epoch % cannot follow %', new.epoch, old.epoch
            using errcode = 'check_violation', constraint = 'cutover_epoch_grows';
    end if;
    return new;
end
$$;
create trigger keep_cutover_epoch before update on understudy.cutover
    for each row execute function understudy.keep_cutover_epoch();

grant select, insert, update on understudy.cutover to service_role;
grant select, insert on understudy.cutover_history to service_role;
grant select, insert, update, delete on understudy.cutover_stays to service_role;

alter table understudy.cutover enable row level security;
alter table understudy.cutover_history enable row level security;
alter table understudy.cutover_stays enable row level security;

create policy service_all on understudy.cutover to service_role using (true) with check (true);
create policy service_all on understudy.cutover_history to service_role using (true) with check (true);
create policy service_all on understudy.cutover_stays to service_role using (true) with check (true);
