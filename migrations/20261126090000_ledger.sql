-- What is reserved before a provider is called, what it came to, and how much may be spent. Micro-dollars.

-- Billed characters by our own count, beside the provider's (`characters`), where characters are what is billed.
alter table understudy.provider_calls add column if not exists counted_characters integer;

-- One row a task that may cost money. It outlives the task; an erased account's rows lose the account.
create table understudy.ledger (
    task_id uuid primary key,
    user_id uuid,
    operation text not null,
    provider text not null,
    purse text check (purse in ('generation', 'creates')),
    reserved_microusd bigint not null check (reserved_microusd >= 0),
    settled_microusd bigint not null default 0 check (settled_microusd >= 0),
    -- What may have been billed beyond what is known: whoever had sent the call died before its answer.
    doubt_microusd bigint not null default 0 check (doubt_microusd >= 0),
    calls integer not null default 0 check (calls >= 0),
    state text not null default 'reserved' check (state in ('reserved', 'settled', 'released')),
    mode_epoch bigint,
    synthetic boolean not null default false,
    at timestamptz not null,
    ended_at timestamptz,
    check ((state = 'reserved') = (ended_at is null)),
    check (state <> 'released' or settled_microusd + doubt_microusd = 0)
);
create index ledger_open_idx on understudy.ledger (at) where state = 'reserved';
create index ledger_user_id_at_idx on understudy.ledger (user_id, at) where user_id is not null;
create index ledger_at_idx on understudy.ledger (at);

-- Limits that an operator set for one tenant, or (the nil id) for everybody together. 0 lifts a limit.
create table understudy.budgets (
    scope uuid not null,
    budget text not null check (budget in ('generation-hour', 'generation-day', 'creates-hour', 'creates-day')),
    most bigint not null check (most >= 0),
    actor text not null,
    reason text not null,
    changed_at timestamptz not null default now(),
    primary key (scope, budget)
);

-- What a window has used of a budget: micro-dollars, or creates of an hour. A row only where there is a limit.
create table understudy.budget_counters (
    scope uuid not null,
    budget text not null,
    starts_at timestamptz not null,
    used bigint not null check (used >= 0),
    primary key (scope, budget, starts_at)
);
create index budget_counters_starts_at_idx on understudy.budget_counters (starts_at);

create table understudy.valves (
    name text primary key check (name in ('design-creates', 'carry-over', 'generation')),
    closed boolean not null,
    epoch bigint not null check (epoch > 0),
    actor text not null,
    reason text not null,
    changed_at timestamptz not null default now()
);

create table understudy.valve_history (
    id bigint generated always as identity primary key,
    name text not null,
    closed boolean not null,
    epoch bigint not null,
    actor text not null,
    reason text not null,
    changed_at timestamptz not null
);

grant select, insert, update, delete on understudy.ledger to service_role;
grant select, insert, update, delete on understudy.budgets to service_role;
grant select, insert, update, delete on understudy.budget_counters to service_role;
grant select, insert, update on understudy.valves to service_role;
grant select, insert on understudy.valve_history to service_role;

alter table understudy.ledger enable row level security;
alter table understudy.budgets enable row level security;
alter table understudy.budget_counters enable row level security;
alter table understudy.valves enable row level security;
alter table understudy.valve_history enable row level security;

create policy service_all on understudy.ledger to service_role using (true) with check (true);
create policy service_all on understudy.budgets to service_role using (true) with check (true);
create policy service_all on understudy.budget_counters to service_role using (true) with check (true);
create policy service_all on understudy.valves to service_role using (true) with check (true);
create policy service_all on understudy.valve_history to service_role using (true) with check (true);

-- Windows are whole hours and whole days, UTC.
create function understudy.budget_window(budget text, moment timestamptz) returns timestamptz
language sql stable set search_path = '' as
$$
    select case when budget like '%-hour' then pg_catalog.date_trunc('hour', moment, 'UTC')
                else pg_catalog.date_trunc('day', moment, 'UTC') end
$$;

-- What a window used of a budget, from the ledger itself: the start of a counter.
create function understudy.budget_used(of_scope uuid, of_budget text, since timestamptz) returns bigint
language sql stable set search_path = '' as
$$
    select coalesce(pg_catalog.sum(case
        when of_budget = 'creates-hour' then (e.state <> 'released')::int
        when e.state = 'reserved' then e.reserved_microusd
        else e.settled_microusd + e.doubt_microusd end), 0)::bigint
    from understudy.ledger e
    where e.purse = pg_catalog.split_part(of_budget, '-', 1) and not e.synthetic
      and e.at >= since and understudy.budget_window(of_budget, e.at) = since
      and (of_scope = '00000000-0000-0000-0000-000000000000' or e.user_id = of_scope)
$$;

-- Reserve, or say why not. Nothing is written for what is refused, so it does not matter what the caller does.
-- Rows are locked tenant before everybody, in the order of the budgets' names, here and in adjust_budgets.
create function understudy.reserve_cost(
    for_task uuid, for_user uuid, of_operation text, at_provider text, amount bigint, billed_create boolean,
    canary boolean, moment timestamptz, limits jsonb
) returns jsonb language plpgsql set search_path = '' as
$$
declare
    everybody constant uuid := '00000000-0000-0000-0000-000000000000';
    own_purse constant text := case when of_operation = 'speak' then 'generation'
                                    when billed_create then 'creates' end;
    own_valve constant text := case when of_operation = 'speak' then 'generation'
                                    when of_operation = 'design' and billed_create then 'design-creates' end;
    held record;
    closed_valve text;
    before bigint;
    step bigint;
begin
    if not canary then
        select v.name into closed_valve from understudy.valves v where v.name = own_valve and v.closed;
        if found then
            return pg_catalog.jsonb_build_object('valve', closed_valve);
        end if;
        for held in
            select l.scope, l.budget, coalesce(o.most, l.most) as most,
                   understudy.budget_window(l.budget, moment) as starts_at
            from (
                select s.scope, k.budget, coalesce((limits -> k.budget ->> s.place)::bigint, 0) as most
                from (values (own_purse || '-hour'), (own_purse || '-day')) k (budget)
                cross join (values (for_user, 'tenant'), (everybody, 'everybody')) s (scope, place)
            ) l
            left join understudy.budgets o on o.scope = l.scope and o.budget = l.budget
            where coalesce(o.most, l.most) > 0
            order by l.scope = everybody, l.budget
        loop
            step := case when held.budget = 'creates-hour' then 1 else amount end;
            select c.used into before from understudy.budget_counters c
            where c.scope = held.scope and c.budget = held.budget and c.starts_at = held.starts_at for update;
            if not found then
                -- The first of this window, or the limit is new: what was reserved before counts.
                insert into understudy.budget_counters (scope, budget, starts_at, used)
                values (held.scope, held.budget, held.starts_at,
                        understudy.budget_used(held.scope, held.budget, held.starts_at))
                on conflict (scope, budget, starts_at) do nothing;
                select c.used into strict before from understudy.budget_counters c
                where c.scope = held.scope and c.budget = held.budget and c.starts_at = held.starts_at
                for update;
            end if;
            if before + step > held.most then
                return pg_catalog.jsonb_build_object(
                    'budget', held.budget, 'everybody', held.scope = everybody, 'most', held.most, 'used', before,
                    'ends_at', held.starts_at + case when held.budget like '%-hour' then interval '1 hour'
                                                     else interval '1 day' end);
            end if;
        end loop;
        update understudy.budget_counters c
        set used = c.used + case when c.budget = 'creates-hour' then 1 else amount end
        where c.scope in (for_user, everybody) and c.budget in (own_purse || '-hour', own_purse || '-day')
          and c.starts_at = understudy.budget_window(c.budget, moment);
    end if;
    insert into understudy.ledger
        (task_id, user_id, operation, provider, purse, reserved_microusd, mode_epoch, synthetic, at)
    values (for_task, for_user, of_operation, at_provider, own_purse, amount,
            (select t.mode_epoch from public.tasks t where t.id = for_task), canary, moment);
    return null;
end
$$;

-- Correct the windows that a reservation was counted in.
create function understudy.adjust_budgets(entry understudy.ledger, money bigint, creates integer) returns void
language plpgsql set search_path = '' as
$$
declare
    everybody constant uuid := '00000000-0000-0000-0000-000000000000';
begin
    if entry.synthetic or entry.purse is null or (money = 0 and creates = 0) then
        return;
    end if;
    perform from understudy.budget_counters c
    where c.scope in (entry.user_id, everybody) and c.budget in (entry.purse || '-hour', entry.purse || '-day')
      and c.starts_at = understudy.budget_window(c.budget, entry.at)
    order by c.scope = everybody, c.budget for update;
    update understudy.budget_counters c
    set used = greatest(0, c.used + case when c.budget = 'creates-hour' then creates else money end)
    where c.scope in (entry.user_id, everybody) and c.budget in (entry.purse || '-hour', entry.purse || '-day')
      and c.starts_at = understudy.budget_window(c.budget, entry.at);
end
$$;

-- Add what one call cost. The reservation stays until the task ends; of a task that has ended it counts at once.
create function understudy.settle_cost(of_task uuid, cost bigint, answer_lost boolean) returns void
language plpgsql set search_path = '' as
$$
declare
    before understudy.ledger;
    entry understudy.ledger;
begin
    select * into before from understudy.ledger where task_id = of_task for update;
    if not found then
        return;
    end if;
    update understudy.ledger l set
        calls = l.calls + 1,
        settled_microusd = l.settled_microusd + cost,
        doubt_microusd = case
            when answer_lost and cost = 0 then greatest(l.doubt_microusd, l.reserved_microusd)
            when l.state <> 'reserved' and cost > 0 then 0
            else l.doubt_microusd end,
        state = case when l.state = 'released' then 'settled' else l.state end
    where l.task_id = of_task returning * into entry;
    if before.state <> 'reserved' then
        perform understudy.adjust_budgets(
            entry,
            entry.settled_microusd + entry.doubt_microusd - before.settled_microusd - before.doubt_microusd,
            case when before.state = 'released' then 1 else 0 end);
    end if;
end
$$;

-- The end of a reservation: what its calls cost takes its place. Without a call it is given back; unless the
-- task had been sent and nobody wrote what came of it: then all of it stays in doubt.
create function understudy.close_reservation(of_task uuid, was_sent boolean) returns boolean
language plpgsql set search_path = '' as
$$
declare
    entry understudy.ledger;
begin
    select * into entry from understudy.ledger l where l.task_id = of_task and l.state = 'reserved' for update;
    if not found then
        return false;
    end if;
    if entry.calls = 0 then
        -- Code of before this migration, after a rollback, records calls and settles none.
        select count(*), coalesce(pg_catalog.sum(c.cost_microusd), 0) into entry.calls, entry.settled_microusd
        from understudy.provider_calls c where c.task_id = of_task;
    end if;
    update understudy.ledger l set
        state = case when entry.calls > 0 or was_sent then 'settled' else 'released' end,
        calls = entry.calls,
        settled_microusd = entry.settled_microusd,
        doubt_microusd = case
            when entry.calls = 0 and was_sent then l.reserved_microusd else l.doubt_microusd end,
        ended_at = pg_catalog.clock_timestamp()
    where l.task_id = of_task returning * into entry;
    perform understudy.adjust_budgets(
        entry,
        entry.settled_microusd + entry.doubt_microusd - entry.reserved_microusd,
        case when entry.state = 'released' then -1 else 0 end);
    return true;
end
$$;

-- A task that was admitted for one provider goes to another. What it was billed at the first one stays.
create function understudy.move_reservation(
    of_task uuid, to_provider text, amount bigint, billed_create boolean
) returns void language plpgsql set search_path = '' as
$$
declare
    before understudy.ledger;
begin
    select * into before from understudy.ledger where task_id = of_task and state = 'reserved' for update;
    if not found then
        return;
    end if;
    if before.purse = 'creates' and before.calls = 0 and not billed_create then
        perform understudy.adjust_budgets(before, -before.reserved_microusd, -1);
        update understudy.ledger set purse = null where task_id = of_task;
    else
        perform understudy.adjust_budgets(before, amount - before.reserved_microusd, 0);
    end if;
    update understudy.ledger set provider = to_provider, reserved_microusd = amount where task_id = of_task;
end
$$;

-- However a task ends, its reservation ends with it, at the commit: after the calls of the same transaction.
-- As the owner, for an account may be deleted by the issuer's own role, which may not write here.
create function understudy.close_with_task() returns trigger
language plpgsql security definer set search_path = '' as
$$
begin
    if tg_op = 'DELETE' then
        perform understudy.close_reservation(old.id, old.dispatched_at is not null);
    else
        perform understudy.close_reservation(new.id, new.dispatched_at is not null);
    end if;
    return null;
end
$$;
create constraint trigger close_reservation after update of status on public.tasks
    deferrable initially deferred for each row
    when (old.status is distinct from new.status and new.status in ('completed', 'failed', 'cancelled'))
    execute function understudy.close_with_task();
create constraint trigger close_reservation_of_deleted after delete on public.tasks
    deferrable initially deferred for each row
    when (old.status in ('pending', 'processing'))
    execute function understudy.close_with_task();

revoke all on function understudy.budget_window(text, timestamptz) from public;
revoke all on function understudy.budget_used(uuid, text, timestamptz) from public;
revoke all on function understudy.reserve_cost(
    uuid, uuid, text, text, bigint, boolean, boolean, timestamptz, jsonb) from public;
revoke all on function understudy.adjust_budgets(understudy.ledger, bigint, integer) from public;
revoke all on function understudy.settle_cost(uuid, bigint, boolean) from public;
revoke all on function understudy.close_reservation(uuid, boolean) from public;
revoke all on function understudy.move_reservation(uuid, text, bigint, boolean) from public;
revoke all on function understudy.close_with_task() from public;
grant execute on function understudy.budget_window(text, timestamptz) to service_role;
grant execute on function understudy.budget_used(uuid, text, timestamptz) to service_role;
grant execute on function understudy.reserve_cost(
    uuid, uuid, text, text, bigint, boolean, boolean, timestamptz, jsonb) to service_role;
grant execute on function understudy.adjust_budgets(understudy.ledger, bigint, integer) to service_role;
grant execute on function understudy.settle_cost(uuid, bigint, boolean) to service_role;
grant execute on function understudy.close_reservation(uuid, boolean) to service_role;
grant execute on function understudy.move_reservation(uuid, text, bigint, boolean) to service_role;
