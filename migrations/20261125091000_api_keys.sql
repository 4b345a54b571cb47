-- Keys of programs. A key is 256 random bits and shown once: what is kept is its hash and the part a person
-- recognises it by.

create table if not exists understudy.api_keys (
    id uuid primary key,
    user_id uuid not null references auth.users (id) on delete cascade,
    name text not null check (char_length(name) between 1 and 100),
    prefix text not null,
    key_sha256 text not null unique check (key_sha256 ~ '^[0-9a-f]{64}$'),
    scopes text[] not null default array['speech'] check (scopes <@ array['speech']),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
create index if not exists api_keys_user_id_idx on understudy.api_keys (user_id);

grant select, insert, update, delete on understudy.api_keys to service_role;
alter table understudy.api_keys enable row level security;
create policy service_all on understudy.api_keys to service_role using (true) with check (true);
