"""Settings of the stand-ins: keys they accept, how slow they pretend to be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from understudy.errors import ConfigurationError
from understudy.settings import ENV_FILE_VARIABLE


class StandInSettings(BaseSettings):
    """Settings of one stand-in process; the variables are ``STANDIN_`` and the name in upper case.

    Parameters
    ----------
    lane
        The region this DashScope plays: its own key is accepted, the other lane's is a 401.
    dashscope_real_time_factor
        Seconds of waiting per second of audio; 0 sends as fast as it is made, 1 is real time.
    voice_mismatch_code
        ``error.code`` when voice and model do not belong together; the vendor documents none.
    session_idle_s
        A WebSocket without a text frame either way for this long is dropped (facts/dashscope.md section 4).
    modal_real_time_factor
        Seconds of GPU time a job pretends to take per second of audio (an A10G: 0.5 to 0.65).
    modal_redirect_after_s
        A design call that runs longer answers 303 (Modal: 150 s).
    modal_containers
        Jobs that run at once; the rest are ``queued``.
    supabase_ref
        Reference of the one project that the Management API has: 20 lower-case letters.
    """

    model_config = SettingsConfigDict(env_prefix="STANDIN_", extra="ignore", frozen=True)

    lane: Literal["intl", "cn"] = "intl"
    dashscope_key: SecretStr = SecretStr("sk-standin-intl-0001")
    dashscope_cn_key: SecretStr = SecretStr("sk-standin-cn-0001")
    dashscope_real_time_factor: float = Field(default=0.0, ge=0.0)
    dashscope_first_audio_delay_s: float = Field(default=0.0, ge=0.0)
    voice_mismatch_code: str = "InvalidParameter"
    session_idle_s: float = Field(default=60.0, gt=0.0)
    voices_per_account: int = Field(default=1000, ge=1)

    modal_key: SecretStr = SecretStr("")
    modal_secret: SecretStr = SecretStr("")
    modal_overhead_s: float = Field(default=0.05, ge=0.0)
    modal_real_time_factor: float = Field(default=0.0, ge=0.0)
    modal_design_overhead_s: float = Field(default=0.05, ge=0.0)
    modal_redirect_after_s: float = Field(default=150.0, gt=0.0)
    modal_containers: int = Field(default=4, ge=1)
    modal_result_lifetime_s: float = Field(default=7 * 86400.0, gt=0.0)

    supabase_token: SecretStr = SecretStr("sbp_5ab10000000000000000000000000000000057a1")
    supabase_ref: str = "standinprojectalphab"

    fault_seed: int = 20261124


def load_standin_settings() -> StandInSettings:
    """Read the environment and the file that ``UNDERSTUDY_ENV_FILE`` names (the environment wins).

    Raises
    ------
    ConfigurationError
        Each invalid variable, by name.
    """
    env_file = os.environ.get(ENV_FILE_VARIABLE)
    if env_file and not Path(env_file).is_file():
        raise ConfigurationError(f"{ENV_FILE_VARIABLE}={env_file}: there is no such file.")
    try:
        return StandInSettings(_env_file=env_file)
    except ValidationError as error:
        problems = (f"STANDIN_{item['loc'][0]!s}".upper() + f": {item['msg']}" for item in error.errors())
        raise ConfigurationError("; ".join(problems)) from None
