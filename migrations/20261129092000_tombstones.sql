-- Tombstones: what was deleted or revoked, and when. After a restore they are replayed, so that nothing that was
-- taken away comes back with the backup. Written by triggers, so by every way to delete; ids only, no content.

create table understudy.tombstones (
    id bigint generated always as identity primary key,
    kind text not null check (kind in (
        'voice', 'generation', 'account', 'api_key', 'session', 'operator', 'consent', 'password')),
    subject text not null,
    user_id uuid,
    at timestamptz not null default clock_timestamp(),
    -- When a copy lay beside the stored audio: it outlives the database.
    copied_at timestamptz,
    unique (kind, subject, at)
);
create index tombstones_not_copied_idx on understudy.tombstones (id) where copied_at is null;
create index tombstones_at_idx on understudy.tombstones (at);

-- The trigger says what it is about: the kind, the column of the subject, and that of the account (none for an
-- account itself: an erasure takes every tombstone that names the account away, and its own must stay).
create function understudy.bury() returns trigger
language plpgsql security definer set search_path = '' as
$$
declare
    gone constant jsonb := pg_catalog.to_jsonb(coalesce(old, new));
begin
    insert into understudy.tombstones (kind, subject, user_id)
    values (tg_argv[0], gone ->> tg_argv[1], (gone ->> tg_argv[2])::uuid)
    on conflict do nothing;
    return null;
end
$$;

create trigger bury_voice after delete on public.voices
    for each row when (old.deleted_at is null) execute function understudy.bury('voice', 'id', 'user_id');
create trigger bury_deleted_voice after update of deleted_at on public.voices
    for each row when (old.deleted_at is null and new.deleted_at is not null)
    execute function understudy.bury('voice', 'id', 'user_id');
create trigger bury_consent after update of consent_at on public.voices
    for each row when (old.consent_at is not null and new.consent_at is null)
    execute function understudy.bury('consent', 'id', 'user_id');
create trigger bury_generation after delete on public.generations
    for each row execute function understudy.bury('generation', 'id', 'user_id');
create trigger bury_api_key after delete on understudy.api_keys
    for each row when (old.revoked_at is null) execute function understudy.bury('api_key', 'id', 'user_id');
create trigger bury_revoked_api_key after update of revoked_at on understudy.api_keys
    for each row when (old.revoked_at is null and new.revoked_at is not null)
    execute function understudy.bury('api_key', 'id', 'user_id');
create trigger bury_session after update of revoked_at on understudy.refresh_tokens
    for each row when (old.revoked_at is null and new.revoked_at is not null)
    execute function understudy.bury('session', 'session_id', 'user_id');
create trigger bury_operator after delete on understudy.operators
    for each row execute function understudy.bury('operator', 'user_id', 'user_id');
-- An erasure is an account's end, whoever keeps `auth.users`; `old` does not exist at an insert.
create trigger bury_account after insert on understudy.erasures
    for each row execute function understudy.bury('account', 'user_id', '');

-- On Supabase `auth.users` belongs to the platform, and so do its passwords.
do $$
begin
    if pg_catalog.pg_get_userbyid(
            (select relowner from pg_catalog.pg_class where oid = 'auth.users'::regclass)) = current_user then
        create trigger bury_account after delete on auth.users
            for each row execute function understudy.bury('account', 'id', '');
        create trigger bury_password after update of encrypted_password on auth.users
            for each row when (old.encrypted_password is distinct from new.encrypted_password)
            execute function understudy.bury('password', 'id', 'id');
    end if;
end
$$;

grant select, insert, update (copied_at), delete on understudy.tombstones to service_role;
alter table understudy.tombstones enable row level security;
create policy service_all on understudy.tombstones to service_role using (true) with check (true);
revoke all on function understudy.bury() from public;
