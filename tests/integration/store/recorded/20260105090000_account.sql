-- What code that needed migrations up to 20260105090000 ran. Recorded: never edited, only added to by a new file.

-- role: service_role
insert into auth.users (id, email) values (%(user)s, %(email)s) on conflict (id) do nothing;

-- role: service_role
update auth.users set last_sign_in_at = now() where id = %(user)s returning id;
