"""How much memory the embedded server shares: more where there is more, never what a container does not have."""

import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from governance.embedded import postgres

MB = 2**20


@pytest.mark.parametrize(
    ("machine", "limit", "shared"),
    [
        (64 * 1024, "max", 1024),
        (4 * 1024, "max", 512),
        (512, "max", 128),
        (64 * 1024, str(2 * 1024 * MB), 256),
        (64 * 1024, None, 1024),
        (64 * 1024, "nonsense", 1024),
    ],
)
def test_an_eighth_of_what_there_is_between_128_mb_and_1_gb(
    machine: int, limit: str | None, shared: int, monkeypatch: Any, tmp_path: Path
) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": machine * MB // 4096}
    monkeypatch.setattr(postgres.os, "sysconf", sizes.__getitem__)
    monkeypatch.setattr(postgres, "MEMORY_LIMIT", tmp_path / "memory.max")
    if limit is not None:
        postgres.MEMORY_LIMIT.write_text(limit)

    assert postgres.shared_megabytes() == shared


def test_a_server_whose_data_is_kept_shares_so_much(place: Path) -> None:
    server = postgres.Server(place / "postgres", log=place / "log", say=lambda _: None)
    _, process = server.start()
    try:
        with psycopg.connect(server.admin_url()) as connection:
            pages = connection.execute("SELECT setting::int FROM pg_settings WHERE name = 'shared_buffers'").fetchone()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)

    assert pages == (postgres.shared_megabytes() * MB // 8192,)
