"""LiteLLM's proxy, to compare with: in a venv of its own, from the hash-locked ``requirements/litellm.txt``.

It runs in its cheapest form: no database, one master key, the price map of its wheel, no logging. With
virtual keys and spend records it can only be slower.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / ".litellm"
REQUIREMENTS = ROOT / "requirements" / "litellm.txt"
KEY = "sk-bench-0001"
START_DEADLINE_S = 120.0
ABSENT = "LiteLLM: absent (it could not be installed into .litellm)."


def _python() -> Path:
    return FOLDER / "bin" / "python"


async def _quiet(*command: str) -> bool:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait() == 0


async def installed() -> bool:
    """Whether LiteLLM is there; it is installed (once) if it can be."""
    done = FOLDER / ".ready"
    if done.exists() and done.stat().st_mtime >= REQUIREMENTS.stat().st_mtime:
        return True
    if os.environ.get("BENCH_LITELLM") == "0" or not await _quiet(sys.executable, "-m", "venv", str(FOLDER)):
        return False
    pip = (str(_python()), "-m", "pip", "install", "-qq", "--disable-pip-version-check")
    locked = ("--only-binary=:all:", "--require-hashes", "--no-deps", "-r", str(REQUIREMENTS))
    if not await _quiet(*pip, *locked):
        return False
    done.touch()
    return True


async def version() -> str:
    """The version that is installed."""
    code = "from importlib.metadata import version; print(version('litellm'))"
    process = await asyncio.create_subprocess_exec(str(_python()), "-c", code, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode().strip()


async def start(folder: Path, upstream: str) -> tuple[asyncio.subprocess.Process, int]:
    """Start the proxy in front of the OpenAI-shaped ``upstream``; answers once it is ready."""
    model = {
        "model_name": "tts",
        "litellm_params": {"model": "openai/tts", "api_base": f"{upstream}/v1", "api_key": "sk-upstream"},
    }
    # JSON is YAML.
    config = folder / "litellm.yaml"
    config.write_text(json.dumps({"model_list": [model], "general_settings": {"master_key": KEY}}))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    log = (folder / "litellm.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *(str(FOLDER / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"),
        *("--port", str(port), "--num_workers", "1", "--telemetry", "False"),
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "DISABLE_ADMIN_UI": "True",
        },
        stdout=log,
        stderr=log,
        cwd=folder,
    )
    log.close()
    async with asyncio.timeout(START_DEADLINE_S), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"http://127.0.0.1:{port}/health/liveliness") as answer:
                    if answer.status == 200:
                        return process, port
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.2)
