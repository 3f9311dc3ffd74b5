"""Operations that a service calls deprecated, each logged once per process."""

from __future__ import annotations

import logging
from typing import Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.response import RawResponse

_log = logging.getLogger(__name__)
_logged: set[tuple[str, str]] = set()


def log_deprecation(call: Call[Any], response: RawResponse) -> None:
    """
    Log that a service calls an operation deprecated, if its answer says so and nobody has logged it yet.

    :param call: the call.
    :param response: its answer.
    """
    endpoint = call.endpoint
    key = endpoint.service.conn_type, endpoint.operation
    if response.deprecation and key not in _logged:
        _logged.add(key)
        _log.warning("%s says that %r is deprecated.", endpoint.service.name, endpoint.operation)
