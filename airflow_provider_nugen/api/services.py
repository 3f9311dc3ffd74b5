"""The services: whatever is done for each of them starts here."""

from __future__ import annotations

from importlib import import_module

from airflow_provider_nugen.api.service import Service


def declared(conn_type: str) -> Service:
    """
    Return the service that ``api/<conn_type>/service.py`` declares.

    :param conn_type: its connection type.
    :raises ModuleNotFoundError: if there is no such file.
    :raises ValueError: if the file declares no service of that connection type, or several.
    """
    module = import_module(f"airflow_provider_nugen.api.{conn_type}.service")
    services = [value for value in vars(module).values() if isinstance(value, Service)]
    if [service.conn_type for service in services] != [conn_type]:
        raise ValueError(
            f"{module.__name__} must declare one Service with conn_type={conn_type!r}; it declares {services}."
        )
    return services[0]


SERVICES = tuple(
    declared(conn_type)
    for conn_type in (
        "nugen",
        "seekr",
    )
)
