"""Reading an Airflow connection, in sync and async code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from airflow.sdk import BaseHook

from airflow_provider_nugen.api.errors import ConnectionSettingsError, TransportError
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.hooks.connection import aread_settings, read_settings
from airflow_provider_nugen.hooks.settings import Settings

Read = Callable[..., Settings]


def aread(service: Service, conn_id: str, *, known_to_exist: bool = False) -> Settings:
    return asyncio.run(aread_settings(service, conn_id, known_to_exist=known_to_exist))


@pytest.fixture(params=[read_settings, aread], ids=["sync", "async"])
def read(request: pytest.FixtureRequest) -> Read:
    """Read a connection, in either way."""
    reader: Read = request.param
    return reader


def test_a_connection_is_read(read: Read, connection: Callable[..., str], key: str) -> None:
    conn_id = connection("seekr", "team", host="http://127.0.0.1:8765", extra={"team_id": "t", "timeout": "5"})
    settings = read(SEEKR, conn_id)
    assert (settings.conn_id, settings.base_url, settings.timeout) == ("team", "http://127.0.0.1:8765", 5.0)
    assert settings.all_headers() == {"Authorization": key, "x-team-id": "t"}


def test_a_connection_may_be_a_uri(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_NUGEN_DEFAULT", "nugen://:a-test-key@localhost:8765/http?api_revision=C")
    settings = read(NUGEN, "nugen_default")
    assert (settings.base_url, settings.api_key, settings.revision) == ("http://localhost:8765", "a-test-key", "C")


def test_a_missing_connection_is_named_with_how_to_make_it() -> None:
    with pytest.raises(ConnectionSettingsError) as caught:
        read_settings(NUGEN, "nowhere")
    assert str(caught.value).startswith("Nugen (connection 'nowhere'): there is no such connection.")
    assert "type 'nugen'" in str(caught.value)
    assert not caught.value.transient


def test_a_connection_that_is_known_to_exist_may_come_back(read: Read) -> None:
    """Airflow says the same when its database or a secrets backend is down."""
    with pytest.raises(TransportError, match="not found any more") as caught:
        read(NUGEN, "nowhere", known_to_exist=True)
    assert (caught.value.transient, caught.value.maybe_processed) == (True, False)


def test_a_bug_of_ours_is_not_taken_for_an_unwell_database(
    read: Read, connection: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(service: Service, conn: object) -> Settings:
        raise AttributeError("a bug")

    monkeypatch.setattr(Settings, "from_connection", broken)
    with pytest.raises(AttributeError, match="a bug"):
        read(NUGEN, connection("nugen"))


def test_a_wrong_connection_is_named_with_its_field(read: Read, connection: Callable[..., str]) -> None:
    with pytest.raises(ConnectionSettingsError, match="is empty"):
        read(NUGEN, connection("nugen", password=""))


def test_an_airflow_that_cannot_be_asked_is_a_passing_failure(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(conn_id: str) -> None:
        raise RuntimeError("database is locked")

    async def abroken(conn_id: str) -> None:
        broken(conn_id)

    monkeypatch.setattr(BaseHook, "get_connection", broken)
    monkeypatch.setattr(BaseHook, "aget_connection", abroken)
    with pytest.raises(TransportError, match=r"could not be read .*database is locked") as caught:
        read(NUGEN, "my_conn")
    assert "Nugen (connection 'my_conn')" in str(caught.value)
    assert (caught.value.transient, caught.value.maybe_processed) == (True, False)
