-- What code that needed migrations up to 20260105090100 ran. Recorded: never edited, only added to by a new file.

-- role: service_role
insert into public.profiles (id) values (%(user)s) on conflict (id) do nothing;

-- role: service_role
update public.profiles set display_name = 'Old' where id = %(user)s returning id;

-- role: authenticated
insert into public.voices (id, user_id, name, reference_object_key, reference_transcript, language,
source, description) values (%(voice)s, %(user)s, 'v', %(user)s || '/v/reference.wav', 'one two',
'English', 'uploaded', 'warm');

-- role: authenticated
select id, name from public.voices where id = %(voice)s;

-- role: service_role
insert into public.generations (id, user_id, voice_id, text, language) values (%(generation)s, %(user)s,
%(voice)s, 'hello', 'English');

-- role: service_role
insert into public.tasks (id, user_id, type, generation_id, voice_id, modal_job_id) values (%(task)s,
%(user)s, 'generate', %(generation)s, %(voice)s, 'fc-1');

-- role: service_role
update public.tasks set status = 'processing', modal_poll_count = modal_poll_count + 1 where id =
%(task)s and user_id = %(user)s returning id;

-- role: authenticated
select status, modal_job_id, modal_poll_count from public.tasks where id = %(task)s;

-- role: service_role
update public.generations set status = 'completed', audio_object_key = %(user)s || '/g.wav',
duration_seconds = 1.5, completed_at = now() where id = %(generation)s returning id;

-- role: service_role
update public.tasks set status = 'completed', result = '{}', completed_at = now() where id = %(task)s
returning id;

-- role: authenticated
select id, audio_object_key from public.generations where id = %(generation)s;
