-- What Supabase brings and a plain Postgres lacks. On a Supabase project nothing here does anything.

-- API roles. Row level security below binds `authenticated`; `service_role` is the service's own.
do $$
declare
    api_role text;
begin
    foreach api_role in array array['anon', 'authenticated', 'service_role'] loop
        if not exists (select from pg_roles where rolname = api_role) then
            begin
                execute format('create role %I nologin noinherit', api_role);
                execute format('grant %I to current_user', api_role);
            exception when duplicate_object or unique_violation then
                -- Roles belong to the whole cluster: another database was migrated at the same time.
                null;
            end;
        end if;
    end loop;
end
$$;

-- The auth schema, when GoTrue did not make it: accounts of the embedded issuer.
do $$
begin
    if to_regnamespace('auth') is null then
        create schema auth;
        grant usage on schema auth to anon, authenticated, service_role;
    end if;

    if to_regclass('auth.users') is null then
        create table auth.users (
            id uuid primary key default gen_random_uuid(),
            aud text not null default 'authenticated',
            role text not null default 'authenticated',
            email text,
            encrypted_password text,
            email_confirmed_at timestamptz,
            last_sign_in_at timestamptz,
            raw_app_meta_data jsonb not null default '{"provider": "email", "providers": ["email"]}',
            raw_user_meta_data jsonb not null default '{}',
            is_anonymous boolean not null default false,
            created_at timestamptz not null default now(),
            updated_at timestamptz not null default now(),
            deleted_at timestamptz
        );
        create unique index users_email_key on auth.users (lower(email));
        alter table auth.users enable row level security;
        create policy service_only on auth.users to service_role using (true) with check (true);
        grant select, insert, update, delete on auth.users to service_role;
    end if;

    -- nullif: after a transaction that set it, a pooled connection holds '' and not null.
    if to_regprocedure('auth.uid()') is null then
        create function auth.uid() returns uuid language sql stable set search_path = '' as
        $body$
            select coalesce(
                nullif(current_setting('request.jwt.claim.sub', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
            )::uuid
        $body$;
    end if;

    if to_regprocedure('auth.role()') is null then
        create function auth.role() returns text language sql stable set search_path = '' as
        $body$
            select coalesce(
                nullif(current_setting('request.jwt.claim.role', true), ''),
                nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
            )
        $body$;
    end if;
end
$$;
