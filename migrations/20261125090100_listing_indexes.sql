-- What lists and counts read: an index alone, instead of the rows.

-- A page of a tenant's live voices in its order, and the count beside it, searched by name or source or not.
create index if not exists voices_live_listing_idx on public.voices (user_id, created_at desc, id)
    include (name, source) where deleted_at is null;

-- An operator's count of unknown submissions: a handful of rows among all tasks.
create index if not exists tasks_submit_unknown_idx on public.tasks (updated_at)
    where metadata -> 'submit_unknown' is not null;
