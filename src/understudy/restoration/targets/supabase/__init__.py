"""A Supabase project as a deployment target (docs/supabase.md)."""

from __future__ import annotations

from understudy.restoration.targets.supabase.project import Patience, SupabaseProject
from understudy.restoration.targets.supabase.target import SupabaseTarget

__all__ = ["Patience", "SupabaseProject", "SupabaseTarget"]
