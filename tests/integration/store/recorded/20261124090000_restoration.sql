-- What code that needed migrations up to 20261124090000 ran. Recorded: never edited, only added to by a new file.

-- role: service_role
insert into understudy.provider_mode (value, epoch, actor, reason, incident, env_value, changed_at)
values ('modal', %(epoch)s, 'a', 'b', null, 'modal', clock_timestamp()) on conflict (only_row) do update
set value = excluded.value, epoch = excluded.epoch, changed_at = excluded.changed_at returning epoch;

-- role: service_role
insert into understudy.provider_mode_history (epoch, previous_value, value, actor, reason, incident,
env_value, changed_at) values (%(epoch)s, 'qwen', 'modal', 'a', 'b', null, 'modal', now());

-- role: service_role
INSERT INTO public.tasks (id, user_id, type, status, provider, mode_epoch, deadline_at, generation_id,
voice_id, metadata) VALUES (%(task)s, %(user)s, 'design_preview', 'pending', 'modal', %(epoch)s, now() +
interval '1 hour', null, null, '{}') RETURNING id;

-- role: service_role
UPDATE public.tasks SET status = 'processing', claimed_by = 'w', attempts = attempts + 1,
lease_expires_at = clock_timestamp() + make_interval(secs => 9) WHERE id = %(task)s AND type =
ANY('{generate,design_preview}') AND (status = 'pending' OR (status = 'processing' AND (lease_expires_at
IS NULL OR lease_expires_at < clock_timestamp()))) RETURNING id;

-- role: service_role
UPDATE public.tasks SET dispatched_at = clock_timestamp(), provider_status = 'submitting' WHERE id =
%(task)s AND claimed_by = 'w' AND attempts = 1 AND status = 'processing' AND NOT cancellation_requested
RETURNING id;

-- role: service_role
insert into understudy.provider_calls (at, operation, provider, model, outcome, latency_ms,
first_audio_ms, characters, audio_ms, cost_microusd, request_id, user_id, task_id, mode_epoch, synthetic)
values (now(), 'generate', 'modal', 'm', 'ok', 10, 5, 5, 900, 40, 'r', %(user)s, %(task)s, %(epoch)s,
false) returning id;

-- role: service_role
UPDATE public.tasks SET status = 'completed', result = '{}', error = null, metadata = metadata || '{"a":
1}', lease_expires_at = NULL, completed_at = clock_timestamp() WHERE id = %(task)s AND claimed_by = 'w'
AND attempts = 1 AND status = 'processing' RETURNING id;
