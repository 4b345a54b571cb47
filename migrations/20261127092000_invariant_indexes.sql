-- What the guard looks for, again and again: rows that break an invariant. Each index holds those alone, so a
-- look at a healthy database of any size reads next to nothing.

create index if not exists voices_broken_binding_idx on public.voices (created_at)
    where deleted_at is null and (
        tts_provider not in ('modal', 'qwen')
        or (tts_provider = 'qwen' and (
            provider_voice_id is null or provider_target_model is null or provider_voice_kind is null)));

create index if not exists voices_without_reference_idx on public.voices (created_at)
    where deleted_at is null
      and (coalesce(reference_object_key, '') = '' or coalesce(reference_transcript, '') = '');

-- Generations of before the second provider have no epoch, and recorded less.
create index if not exists generations_broken_provider_idx on public.generations (completed_at)
    where status = 'completed' and (
        tts_provider not in ('modal', 'qwen')
        or (provider_model is null and (tts_provider = 'qwen' or mode_epoch is not null)));

create index if not exists generations_without_audio_idx on public.generations (completed_at)
    where status = 'completed'
      and (audio_object_key = '' or (audio_sha256 is null and mode_epoch is not null));

create index if not exists generations_unfinished_idx on public.generations (created_at)
    where status in ('pending', 'processing');

create index if not exists provider_calls_disagreeing_idx on understudy.provider_calls (at)
    where counted_characters <> characters;

-- Billed creates of an hour, and of each hour of a week: a handful among all entries.
create index if not exists ledger_creates_idx on understudy.ledger (at) where purse = 'creates';
