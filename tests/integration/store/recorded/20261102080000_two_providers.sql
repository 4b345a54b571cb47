-- What code that needed migrations up to 20261102080000 ran. Recorded: never edited, only added to by a new file.

-- role: service_role
insert into public.voices (id, user_id, name, tts_provider, provider_voice_id, provider_target_model,
provider_voice_kind, provider_region, provider_request_id, provider_metadata) values (%(voice)s,
%(user)s, 'q', 'qwen', 'qwen-tts-vc-1', 'qwen3-tts-vc-realtime-2026-01-15', 'vc', 'intl', 'r-1', '{}');

-- role: service_role
insert into public.generations (id, user_id, voice_id, text, tts_provider, provider_model, output_format)
values (%(generation)s, %(user)s, %(voice)s, 'hello', 'qwen', 'm', 'wav');

-- role: service_role
insert into public.tasks (id, user_id, type, generation_id, provider, provider_job_id, provider_status)
values (%(task)s, %(user)s, 'generate', %(generation)s, 'qwen', 'j', 'accepted');

-- role: service_role
update public.tasks set cancellation_requested = true, provider_poll_count = provider_poll_count + 1
where id = %(task)s and user_id = %(user)s returning provider;

-- role: service_role
update public.voices set deleted_at = clock_timestamp() where id = %(voice)s returning id;

-- role: authenticated
select g.id, v.name as voice_name from public.generations g left join public.voices v on v.id =
g.voice_id where g.id = %(generation)s;
