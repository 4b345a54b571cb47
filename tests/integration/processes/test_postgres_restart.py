from __future__ import annotations

import os
import signal

import psycopg
import pytest

from understudy.clock import SystemClock
from understudy.processes.supervisor import Supervisor
from understudy.store.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration


async def test_a_killed_postgres_comes_back_at_once_on_its_port_with_its_data(tmp_path, eventually):
    events = []
    postgres = EmbeddedPostgres(tmp_path)
    supervisor = Supervisor(postgres, stop_order=(), clock=SystemClock(), notify=events.append)
    await supervisor.start_postgres()
    try:
        url, port, pid = postgres.migration_database_url.get_secret_value(), postgres.port, postgres.pid
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
            await conn.execute("create table kept (n int)")
            await conn.execute("insert into kept values (7)")

        for kills in (1, 2):
            os.kill(postgres.pid, signal.SIGKILL)
            await eventually(
                lambda kills=kills: supervisor.postgres_restarts == kills, what="it runs again", within_s=30
            )
            assert postgres.port == port
            async with await psycopg.AsyncConnection.connect(url) as conn:
                assert await (await conn.execute("select n from kept")).fetchone() == (7,)
        assert postgres.pid != pid
        assert [event.name for event in events] == ["started"] + ["crashed", "restarted"] * 2
        assert f"killed by signal 9 by itself; starting it again on port {port}" in events[1].message
        (row,) = supervisor.status()["processes"]
        assert (row["state"], row["restarts"], row["pid"]) == ("ready", 2, postgres.pid)
    finally:
        await supervisor.stop()
        await postgres.destroy()  # as root its data may lie outside tmp_path
    assert postgres.pid is None
