-- One row: whether writes are frozen. Reads go on; whoever serves or works follows this row live.

create table understudy.write_freeze (
    only_row boolean primary key default true check (only_row),
    frozen boolean not null,
    actor text not null,
    reason text not null,
    changed_at timestamptz not null default now()
);

create table understudy.write_freeze_history (
    id bigint generated always as identity primary key,
    frozen boolean not null,
    actor text not null,
    reason text not null,
    changed_at timestamptz not null
);

grant select, insert, update on understudy.write_freeze to service_role;
grant select, insert on understudy.write_freeze_history to service_role;

alter table understudy.write_freeze enable row level security;
alter table understudy.write_freeze_history enable row level security;

create policy service_all on understudy.write_freeze to service_role using (true) with check (true);
create policy service_all on understudy.write_freeze_history to service_role using (true) with check (true);
