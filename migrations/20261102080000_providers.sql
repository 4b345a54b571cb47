-- The second provider. Rows that exist read `modal`; code of before this migration ignores the new columns.

alter table public.voices
    add column if not exists tts_provider text not null default 'modal',
    add column if not exists provider_voice_id text,
    add column if not exists provider_target_model text,
    add column if not exists provider_voice_kind text check (provider_voice_kind in ('vc', 'vd')),
    add column if not exists provider_region text,
    add column if not exists provider_request_id text,
    add column if not exists provider_metadata jsonb not null default '{}',
    add column if not exists deleted_at timestamptz;

alter table public.generations
    add column if not exists tts_provider text not null default 'modal',
    add column if not exists provider_model text,
    add column if not exists output_format text,
    add column if not exists provider_metadata jsonb not null default '{}';

alter table public.tasks
    add column if not exists provider text not null default 'modal',
    add column if not exists provider_job_id text,
    add column if not exists provider_status text,
    add column if not exists provider_poll_count integer not null default 0,
    add column if not exists cancellation_requested boolean not null default false;
