-- What code that needed migrations up to 20261124090100 ran. Recorded: never edited, only added to by a new file.

-- role: service_role
insert into queue.pgqueuer (priority, status, entrypoint, payload) values (0, 'queued', 'drive',
convert_to(%(task)s, 'UTF8')) returning id;

-- role: service_role
update queue.pgqueuer set status = 'picked', updated = now(), heartbeat = now() where payload =
convert_to(%(task)s, 'UTF8') returning id;
