-- Which revision of this service each process runs, as its own code says; null for code from before releases.
alter table understudy.processes add column if not exists revision text;
