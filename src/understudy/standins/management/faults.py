"""What can go wrong at the Management API, each on demand; docs/supabase.md describes them one by one."""

from __future__ import annotations

MANAGEMENT_FAULTS = (
    "read_throttled",
    "read_500",
    "secrets_set_throttled",
    "secrets_set_500",
    "secrets_set_hang",
    "secrets_set_lies",
    "secrets_set_moves_others",
    "secrets_digest_opaque",
    "deploy_throttled",
    "deploy_500",
    "deploy_hang",
    "deploy_lost",
    "deploy_lies",
    "deploy_flips_verify_jwt",
    "pitr_disabled",
    "restore_refused",
    "restore_hang",
    "restore_fails",
    "database_unhealthy",
)
#: Requests a minute for one endpoint, seconds until a struck 429 is over, and how long a restore takes.
MANAGEMENT_NUMBERS = {"requests_per_minute": 120.0, "throttle_reset_s": 1.0, "restore_s": 2.0}
