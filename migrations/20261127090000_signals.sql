-- Signals: calls rolled up into buckets of 5 s, and into a tenant's minutes and hours.

-- Which transaction recorded a call. Rows of before this migration have none and are never rolled up; so the
-- column is no rewrite of the table, and its index is small while it is built.
alter table understudy.provider_calls add column if not exists recorded_xid xid8;
alter table understudy.provider_calls alter column recorded_xid set default pg_catalog.pg_current_xact_id();
create index if not exists provider_calls_recorded_xid_idx on understudy.provider_calls (recorded_xid)
    where recorded_xid is not null;

-- The newest calls of one series; the conditions are what a success rate counts.
create index if not exists provider_calls_series_at_idx
    on understudy.provider_calls (provider, mode_epoch, operation, at desc)
    where not synthetic and outcome <> 'cancelled' and category is distinct from 'validation';
create index if not exists provider_calls_synthetic_series_at_idx
    on understudy.provider_calls (provider, mode_epoch, operation, at desc)
    where synthetic and outcome <> 'cancelled' and category is distinct from 'validation';

-- Calls that count, in buckets of 5 s. Users are the first 16 by id: how a bucket was filled does not show.
create table understudy.call_buckets (
    bucket_at timestamptz not null,
    provider text not null,
    mode_epoch bigint not null,
    operation text not null,
    total integer not null,
    failed integer not null,
    failed_transport integer not null,
    failed_protocol integer not null,
    failed_provider integer not null,
    failed_unknown integer not null,
    synthetic_total integer not null,
    synthetic_failed integer not null,
    failed_users uuid[] not null,
    ok_users uuid[] not null,
    cost_microusd bigint not null,
    characters bigint not null,
    ok_latency_ms_sum bigint not null,
    ok_latency_ms_max integer not null,
    first_audio_calls integer not null,
    first_audio_ms_sum bigint not null,
    first_audio_ms_max integer not null,
    primary key (bucket_at, provider, mode_epoch, operation)
) partition by range (bucket_at);
-- What comes late, early or before its day was made.
create table understudy.call_buckets_default partition of understudy.call_buckets default;

-- What each tenant used, canaries left out; cancelled calls and callers' mistakes count in characters and money.
create table understudy.tenant_minutes (
    user_id uuid not null,
    minute_at timestamptz not null,
    operation text not null,
    provider text not null,
    calls integer not null,
    failed integer not null,
    characters bigint not null,
    cost_microusd bigint not null,
    primary key (user_id, minute_at, operation, provider)
);
create index tenant_minutes_minute_at_idx on understudy.tenant_minutes (minute_at);

-- The same by the hour; the user of zeros is everybody together, calls without an account too.
create table understudy.tenant_hours (
    user_id uuid not null,
    hour_at timestamptz not null,
    operation text not null,
    provider text not null,
    calls integer not null,
    failed integer not null,
    characters bigint not null,
    cost_microusd bigint not null,
    primary key (user_id, hour_at, operation, provider)
);
create index tenant_hours_hour_at_idx on understudy.tenant_hours (hour_at);

-- One row: how far calls are rolled up. Whoever rolls up holds its lock.
create table understudy.rollup_state (
    only_row boolean primary key default true check (only_row),
    -- Calls of transactions before this one are rolled up, those from it on are not.
    watermark xid8 not null,
    -- Calls up to this id are rolled up whatever their transaction: they came with a restore from another server.
    after_id bigint not null default 0,
    highest_id bigint not null default 0,
    -- Once the watermark has passed this transaction, everything of before this instant is rolled up.
    horizon_xid xid8 not null,
    horizon_at timestamptz not null,
    complete_at timestamptz not null
);
insert into understudy.rollup_state (watermark, horizon_xid, horizon_at, complete_at)
select pg_catalog.pg_snapshot_xmin(s), pg_catalog.pg_snapshot_xmax(s),
       pg_catalog.statement_timestamp(), pg_catalog.statement_timestamp()
from pg_catalog.pg_current_snapshot() s;

-- Make the days' partitions from today on. What waits in the default partition moves into its day.
create function understudy.make_bucket_partitions(days_ahead integer) returns integer
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as
$$
declare
    today constant date := (pg_catalog.clock_timestamp() at time zone 'UTC')::date;
    made integer := 0;
    part record;
begin
    for part in
        select 'call_buckets_' || pg_catalog.to_char(d, 'YYYYMMDD') as name, d at time zone 'UTC' as starts_at,
               d at time zone 'UTC' + interval '24 hours' as ends_at
        from pg_catalog.generate_series(0, least(days_ahead, 30)) n
        cross join lateral (select today::timestamp + pg_catalog.make_interval(days => n) as d) days
    loop
        continue when pg_catalog.to_regclass('understudy.' || part.name) is not null;
        -- Nobody rolls up meanwhile.
        perform from understudy.rollup_state for update;
        lock table understudy.call_buckets_default in access exclusive mode;
        execute pg_catalog.format(
            'create table understudy.%I (like understudy.call_buckets including defaults)', part.name);
        execute pg_catalog.format('alter table understudy.%I enable row level security', part.name);
        execute pg_catalog.format(
            'with moved as (delete from understudy.call_buckets_default'
            ' where bucket_at >= %L and bucket_at < %L returning *)'
            ' insert into understudy.%I select * from moved', part.starts_at, part.ends_at, part.name);
        execute pg_catalog.format(
            'alter table understudy.call_buckets attach partition understudy.%I for values from (%L) to (%L)',
            part.name, part.starts_at, part.ends_at);
        made := made + 1;
    end loop;
    return made;
end
$$;

-- Drop the days that were over before an instant, yesterday's and today's never; return how many buckets went.
create function understudy.drop_bucket_partitions(before timestamptz) returns bigint
language plpgsql security definer set search_path = '' set lock_timeout = '2s' as
$$
declare
    first_kept constant date := (
        least(before, pg_catalog.clock_timestamp() - interval '24 hours') at time zone 'UTC')::date;
    gone bigint := 0;
    rows_gone bigint;
    part text;
begin
    for part in
        select c.relname from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'understudy.call_buckets'::regclass and c.relname ~ '^call_buckets_[0-9]{8}$'
          and pg_catalog.to_date(pg_catalog.right(c.relname, 8), 'YYYYMMDD') < first_kept
    loop
        execute pg_catalog.format('select count(*) from understudy.%I', part) into rows_gone;
        execute pg_catalog.format('drop table understudy.%I', part);
        gone := gone + rows_gone;
    end loop;
    delete from understudy.call_buckets_default where bucket_at < first_kept::timestamp at time zone 'UTC';
    get diagnostics rows_gone = row_count;
    return gone + rows_gone;
end
$$;

grant select, insert, update, delete on understudy.call_buckets to service_role;
grant select, insert, update, delete on understudy.tenant_minutes to service_role;
grant select, insert, update, delete on understudy.tenant_hours to service_role;
grant select, insert, update on understudy.rollup_state to service_role;
revoke all on function understudy.make_bucket_partitions(integer) from public;
revoke all on function understudy.drop_bucket_partitions(timestamptz) from public;
grant execute on function understudy.make_bucket_partitions(integer) to service_role;
grant execute on function understudy.drop_bucket_partitions(timestamptz) to service_role;

alter table understudy.call_buckets enable row level security;
alter table understudy.call_buckets_default enable row level security;
alter table understudy.tenant_minutes enable row level security;
alter table understudy.tenant_hours enable row level security;
alter table understudy.rollup_state enable row level security;

create policy service_all on understudy.call_buckets to service_role using (true) with check (true);
create policy service_all on understudy.tenant_minutes to service_role using (true) with check (true);
create policy service_all on understudy.tenant_hours to service_role using (true) with check (true);
create policy service_all on understudy.rollup_state to service_role using (true) with check (true);

select understudy.make_bucket_partitions(7);
