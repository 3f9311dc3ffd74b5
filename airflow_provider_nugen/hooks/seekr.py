"""The hook for SeekrFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.compat import with_form
from airflow_provider_nugen.hooks.methods import asends, sends
from airflow_provider_nugen.hooks.seekr_data import SeekrDataHook
from airflow_provider_nugen.hooks.seekr_training import SeekrModelHook


@with_form
class SeekrHook(SeekrDataHook, SeekrModelHook):
    """
    Talks to SeekrFlow.

    The connection: Host = base URL (empty: the service's), Password = API key, sent bare in ``Authorization``;
    extras ``team_id`` (sent as ``x-team-id``; without it calls work on the personal workspace of the key's owner),
    ``timeout`` (seconds, default 30), ``verify`` (bool or path of a CA bundle), ``proxy``, ``allow_http``,
    ``max_requests_per_second``.

    :param seekr_conn_id: the Airflow connection.
    """

    service = SEEKR
    default_conn_name = "seekr_default"

    def __init__(self, seekr_conn_id: str = default_conn_name) -> None:
        super().__init__(seekr_conn_id)

    @sends
    def get_health(self) -> Call[object]:
        """
        Read the version of the service, and how long jobs queue.

        :raises ApiError: if the service does not answer it.
        """
        return endpoints.HEALTH.call()

    aget_health = asends(get_health)

    # The Test button.

    def _test_calls(self) -> Sequence[Call[Any]]:
        return (endpoints.LIST_ALIGNMENTS.call(),)
