-- One row: what the guard has tenants told while an incident runs. It expires by itself, so that a guard that is
-- gone, or a backup that comes back, leaves nothing behind. A code only: what it says to people is the api's.

create table understudy.tenant_notice (
    only_row boolean primary key default true check (only_row),
    code text not null check (code in ('degraded', 'stepping_back', 'verifying', 'recovered')),
    since timestamptz not null,
    expires_at timestamptz not null
);

grant select, insert, update, delete on understudy.tenant_notice to service_role;
alter table understudy.tenant_notice enable row level security;
create policy service_all on understudy.tenant_notice to service_role using (true) with check (true);
