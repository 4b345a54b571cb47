"""A stand-in of the Supabase Management API v1, for the real CLI (docs/supabase.md)."""
