"""Reading the Airflow connection, in sync and async code, with errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import BaseHook

from airflow_provider_nugen.api.errors import ConnectionSettingsError, TransportError
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.compat import AirflowNotFoundException, aget_connection
from airflow_provider_nugen.hooks.settings import Settings


@contextmanager
def _explained(service: Service, conn_id: str, known_to_exist: bool) -> Iterator[None]:
    """Explain why Airflow does not give a connection; only its look-up belongs in here."""
    context = f"{service.name} (connection {conn_id!r})"
    try:
        yield
    except AirflowNotFoundException:
        if known_to_exist:
            raise TransportError(
                "the connection is not found any more, or Airflow cannot be asked for it.", context=context, sent=False
            ) from None
        raise ConnectionSettingsError(
            "there is no such connection.",
            context=context,
            hint=f"Create it (Admin, Connections) with the type {service.conn_type!r} and the API key.",
        ) from None
    except Exception as e:
        # The metadata database or the API server is unwell: that says nothing about the connection.
        raise TransportError(
            f"the connection could not be read ({type(e).__name__}: {e}).", context=context, sent=False
        ) from e


def read_settings(service: Service, conn_id: str, *, known_to_exist: bool = False) -> Settings:
    """
    Read a connection.

    :param service: the service.
    :param conn_id: the connection.
    :param known_to_exist: it has been read before, so if it is not found it may come back: Airflow says the same when
        a secrets backend or its database is down.
    :raises ConnectionSettingsError: if it is missing, incomplete or contradictory.
    :raises TransportError: if Airflow cannot be asked for it right now.
    """
    with _explained(service, conn_id, known_to_exist):
        connection = BaseHook.get_connection(conn_id)
    return Settings.from_connection(service, connection)


async def aread_settings(service: Service, conn_id: str, *, known_to_exist: bool = False) -> Settings:
    """Read a connection without blocking the event loop; parameters and errors as of :func:`read_settings`."""
    with _explained(service, conn_id, known_to_exist):
        connection = await aget_connection(conn_id)
    return Settings.from_connection(service, connection)
