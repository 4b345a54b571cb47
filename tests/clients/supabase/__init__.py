"""The Supabase target with the real CLI, versions 2 and 3, against the stand-in of the Management API."""
