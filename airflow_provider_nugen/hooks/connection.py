"""Reading the Airflow connection, in sync and async code, with errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk import BaseHook

from airflow_provider_nugen.api.errors import ApiError, ConnectionSettingsError, TransportError
from airflow_provider_nugen.api.service import Service
from airflow_provider_nugen.compat import AirflowNotFoundException, aget_connection
from airflow_provider_nugen.hooks.settings import Settings


@contextmanager
def _explained(service: Service, conn_id: str, known_to_exist: bool = False) -> Iterator[None]:
    context = f"{service.name} (connection {conn_id!r})"
    try:
        yield
    except ApiError:
        raise
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


def read_settings(service: Service, conn_id: str) -> Settings:
    """
    Read a connection.

    :raises ConnectionSettingsError: if it is missing, incomplete or contradictory.
    :raises TransportError: if Airflow cannot be asked for it right now.
    """
    with _explained(service, conn_id):
        return Settings.from_connection(service, BaseHook.get_connection(conn_id))


async def aread_settings(service: Service, conn_id: str) -> Settings:
    """
    Read a connection without blocking the event loop.

    Whoever waits has read the connection before, on a worker. So if it is not found it may come back: Airflow says the
    same when its database is down.

    :raises ConnectionSettingsError: if it is incomplete or contradictory.
    :raises TransportError: if it is not there right now.
    """
    with _explained(service, conn_id, known_to_exist=True):
        return Settings.from_connection(service, await aget_connection(conn_id))
