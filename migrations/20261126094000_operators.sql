-- Operators are a role of accounts. Who gave it to whom, and who took it away, is kept.

create table understudy.operators (
    user_id uuid primary key references auth.users (id) on delete cascade,
    granted_by text not null,
    granted_at timestamptz not null default now()
);

-- No foreign key: it outlives the account.
create table understudy.operator_changes (
    id bigint generated always as identity primary key,
    user_id uuid not null,
    change text not null check (change in ('granted', 'revoked')),
    actor text not null,
    changed_at timestamptz not null default now()
);

grant select, insert, update, delete on understudy.operators to service_role;
grant select, insert on understudy.operator_changes to service_role;
alter table understudy.operators enable row level security;
alter table understudy.operator_changes enable row level security;
create policy service_all on understudy.operators to service_role using (true) with check (true);
create policy service_all on understudy.operator_changes to service_role using (true) with check (true);

-- What each process last heard of the provider that a fallback would go to; null before the first answer.
alter table understudy.processes add column if not exists known_good_ok boolean;
