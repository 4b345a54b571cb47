-- The product as it was with one provider (Modal).

create table public.profiles (
    id uuid primary key references auth.users (id) on delete cascade,
    handle text check (handle ~ '^[A-Za-z0-9_]{3,30}$'),
    display_name text check (char_length(display_name) between 1 and 100),
    avatar_url text,
    subscription_tier text not null default 'free',
    credits_remaining integer not null default 100 check (credits_remaining >= 0),
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index profiles_handle_key on public.profiles (lower(handle));

create table public.voices (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    name text not null check (char_length(name) between 1 and 100),
    reference_object_key text,
    reference_transcript text,
    language text not null default 'Auto',
    source text not null default 'uploaded' check (source in ('uploaded', 'designed')),
    description text,
    created_at timestamptz not null default now(),
    -- Lets the tables below refer to a voice together with its tenant.
    unique (id, user_id)
);
create index voices_user_id_created_at_idx on public.voices (user_id, created_at desc);

-- A generation outlives its voice; and it never refers to another tenant's.
create table public.generations (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    voice_id uuid,
    text text not null,
    audio_object_key text,
    duration_seconds double precision check (duration_seconds >= 0),
    language text not null default 'Auto',
    status text not null default 'pending'
        check (status in ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    generation_time_seconds double precision check (generation_time_seconds >= 0),
    error_message text,
    created_at timestamptz not null default now(),
    completed_at timestamptz,
    unique (id, user_id),
    foreign key (voice_id, user_id) references public.voices (id, user_id) on delete set null (voice_id),
    -- Completed means: the audio is stored.
    check (status <> 'completed' or audio_object_key is not null)
);
create index generations_user_id_created_at_idx on public.generations (user_id, created_at desc);
create index generations_voice_id_idx on public.generations (voice_id, user_id);

create table public.tasks (
    id uuid primary key default gen_random_uuid(),
    user_id uuid not null references auth.users (id) on delete cascade,
    type text not null check (type in ('generate', 'design_preview', 'clone')),
    status text not null default 'pending'
        check (status in ('pending', 'processing', 'completed', 'failed', 'cancelled')),
    generation_id uuid,
    voice_id uuid,
    modal_job_id text,
    modal_poll_count integer not null default 0,
    metadata jsonb not null default '{}',
    result jsonb,
    error text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    completed_at timestamptz,
    foreign key (generation_id, user_id) references public.generations (id, user_id)
        on delete set null (generation_id),
    foreign key (voice_id, user_id) references public.voices (id, user_id) on delete set null (voice_id)
);
create index tasks_user_id_created_at_idx on public.tasks (user_id, created_at desc);
create index tasks_generation_id_idx on public.tasks (generation_id, user_id);
create index tasks_voice_id_idx on public.tasks (voice_id, user_id);
create index tasks_unfinished_idx on public.tasks (created_at) where status in ('pending', 'processing');

-- A terminal status never changes again, whoever writes.
create function public.keep_terminal_status() returns trigger language plpgsql set search_path = '' as
$$
begin
    if old.status in ('completed', 'failed', 'cancelled') and new.status is distinct from old.status then
        raise exception 'status % of % % is final', old.status, tg_table_name, old.id
            using errcode = 'check_violation', constraint = tg_table_name || '_terminal_status';
    end if;
    return new;
end
$$;
create trigger keep_terminal_status before update on public.generations
    for each row execute function public.keep_terminal_status();
create trigger keep_terminal_status before update on public.tasks
    for each row execute function public.keep_terminal_status();

create function public.touch_updated_at() returns trigger language plpgsql set search_path = '' as
$$
begin
    new.updated_at := now();
    return new;
end
$$;
create trigger touch_updated_at before update on public.profiles
    for each row execute function public.touch_updated_at();
create trigger touch_updated_at before update on public.tasks
    for each row execute function public.touch_updated_at();

-- A user selects own rows only, inserts and deletes own voices, deletes own generations. All other writes are
-- the service's. Supabase grants everything on a new table to everybody, TRUNCATE included, which no policy
-- stops: so take all away and give what is meant.
grant usage on schema public to anon, authenticated, service_role;
revoke all on public.profiles, public.voices, public.generations, public.tasks from public, anon, authenticated;
grant select, insert, update, delete on public.profiles, public.voices, public.generations, public.tasks
    to service_role;
grant select on public.profiles, public.voices, public.generations, public.tasks to authenticated;
-- Named columns: what binds a voice to a provider is the service's to write.
grant insert (id, user_id, name, reference_object_key, reference_transcript, language, source, description)
    on public.voices to authenticated;
grant delete on public.voices, public.generations to authenticated;

alter table public.profiles enable row level security;
alter table public.voices enable row level security;
alter table public.generations enable row level security;
alter table public.tasks enable row level security;

create policy select_own on public.profiles for select to authenticated using ((select auth.uid()) = id);
create policy select_own on public.voices for select to authenticated using ((select auth.uid()) = user_id);
create policy select_own on public.generations for select to authenticated using ((select auth.uid()) = user_id);
create policy select_own on public.tasks for select to authenticated using ((select auth.uid()) = user_id);
-- A voice may name only an object of its own tenant, or one tenant could hear another's recording.
create policy insert_own on public.voices for insert to authenticated with check (
    (select auth.uid()) = user_id
    and (reference_object_key is null or starts_with(reference_object_key, user_id::text || '/'))
);
create policy delete_own on public.voices for delete to authenticated using ((select auth.uid()) = user_id);
create policy delete_own on public.generations for delete to authenticated using ((select auth.uid()) = user_id);
-- Supabase's service_role passes row level security anyway; elsewhere it may lack that right.
create policy service_all on public.profiles to service_role using (true) with check (true);
create policy service_all on public.voices to service_role using (true) with check (true);
create policy service_all on public.generations to service_role using (true) with check (true);
create policy service_all on public.tasks to service_role using (true) with check (true);
