"""A Supabase-shaped database on Postgres 15."""
