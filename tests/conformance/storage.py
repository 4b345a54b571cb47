"""S3-compatible storage in a process of its own: moto's server, behind a proxy that breaks on demand."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from tests.conformance.fault_proxy import FaultProxy
from tests.integration.api.conftest import NOWHERE
from understudy.settings import Settings

REFERENCES_BUCKET = "conformance-references"
GENERATIONS_BUCKET = "conformance-generations"


@dataclass(frozen=True)
class Storage:
    """One test's own prefix in the storage, reached through a proxy."""

    proxy: FaultProxy
    prefix: str

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    def settings(self) -> dict[str, Any]:
        """The settings that name it."""
        return {
            "objects": "s3",
            "s3_endpoint": self.endpoint,
            "s3_access_key_id": "conformance",
            "s3_secret_access_key": "conformance-secret",
            "s3_bucket_references": REFERENCES_BUCKET,
            "s3_bucket_generations": GENERATIONS_BUCKET,
            "s3_prefix": self.prefix,
        }


def settings_of(home: Path, **changes: object) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        understudy_home=home,
        object_url_secret=SecretStr("o" * 32),
        jwt_secret=SecretStr("j" * 32),
        modal_job_submit=NOWHERE,
        modal_job_status=NOWHERE,
        modal_job_result=NOWHERE,
        modal_job_cancel=NOWHERE,
        modal_endpoint_voice_design=NOWHERE,
        dashscope_api_key=SecretStr("sk-not-a-key-0000"),
        dashscope_base_url=NOWHERE,
        **changes,
    )


def put_raw(port: int, path: str, data: bytes = b"", content_type: str = "") -> None:
    """Put something there as a stranger to the service would: no digest, any type."""
    headers = {"Content-Type": content_type} if content_type else {}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{path}", data=data, method="PUT", headers=headers
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


@pytest.fixture(scope="session")
def moto_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Start moto's server, with both buckets, and return its port."""
    with subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=tmp_path_factory.mktemp("moto"),
        text=True,
    ) as process:
        assert process.stderr is not None
        seen = []
        for line in process.stderr:
            seen.append(line)
            if found := re.search(r"Running on http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            pytest.fail(f"moto did not start: {''.join(seen)}")
        port = int(found.group(1))
        for bucket in (REFERENCES_BUCKET, GENERATIONS_BUCKET):
            put_raw(port, bucket)
        # Its access log would fill the pipe.
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.kill()
            drain.wait(10)


@pytest_asyncio.fixture
async def storage(moto_port: int) -> AsyncIterator[Storage]:
    """A fresh prefix, through a proxy that a test may stop."""
    proxy = FaultProxy(moto_port)
    await proxy.start()
    try:
        yield Storage(proxy, f"run/{uuid.uuid4().hex}")
    finally:
        await proxy.stop()
