"""The hook for SeekrFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.seekr import endpoints
from airflow_provider_nugen.api.seekr.service import SEEKR
from airflow_provider_nugen.compat import with_form
from airflow_provider_nugen.hooks.base import ServiceHook

if TYPE_CHECKING:
    from airflow_provider_nugen.api.seekr import models


@with_form
class SeekrHook(ServiceHook):
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

    def get_alignment(self, alignment_job_id: str) -> models.AlignmentJob:
        """
        Read an alignment job.

        :param alignment_job_id: the id that creating the job returned.
        :raises ApiError: if it cannot be read.
        """
        return self.request(endpoints.ALIGNMENT_JOB.call(alignment_job_id=alignment_job_id))

    def _test_calls(self) -> Sequence[Call[Any]]:
        return (endpoints.LIST_ALIGNMENTS.call(),)
