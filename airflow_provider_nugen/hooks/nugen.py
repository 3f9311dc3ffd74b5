"""The hook for Nugen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import (
    ResponseError,
    TransientResponseError,
    UnauthorizedError,
    UnreadableResponseError,
)
from airflow_provider_nugen.api.nugen import endpoints
from airflow_provider_nugen.api.nugen.service import NUGEN
from airflow_provider_nugen.api.service import AUTO
from airflow_provider_nugen.compat import with_form
from airflow_provider_nugen.hooks.nugen_data import NugenDataHook
from airflow_provider_nugen.hooks.nugen_training import NugenModelHook


@with_form
class NugenHook(NugenModelHook, NugenDataHook):
    """
    Talks to Nugen.

    The connection: Host = base URL (empty: the service's), Password = API key, sent as ``Authorization: Bearer``;
    extras ``api_revision`` (``auto``, the default: the hook finds out; ``B`` or ``C``), ``timeout`` (seconds, default
    30), ``verify`` (bool or path of a CA bundle), ``proxy``, ``allow_http``, ``max_requests_per_second``.

    :param nugen_conn_id: the Airflow connection.
    """

    service = NUGEN
    default_conn_name = "nugen_default"

    def __init__(self, nugen_conn_id: str = default_conn_name) -> None:
        super().__init__(nugen_conn_id)

    # The Test button.

    def _test_calls(self) -> Sequence[Call[Any]]:
        # The first path is the same in all revisions: it tests address and key. The second differs, so that the
        # router's own 404 tells the revision; that there is no such alignment is the answer hoped for.
        return (
            endpoints.BASE_MODELS.call(),
            endpoints.ALIGNMENT_STATUS.call(alignment_id="airflow-connection-test"),
        )

    def _test(self, call: Call[Any]) -> str:
        if call.endpoint is not endpoints.ALIGNMENT_STATUS:
            return super()._test(call)
        response = self.fetch(call)
        try:
            call.read(response, self.conn_id)
        except (UnreadableResponseError, TransientResponseError, UnauthorizedError):
            raise
        except ResponseError:
            pass  # the endpoint is there
        if self.settings.revision == AUTO:
            return f"It was found to speak API revision {response.revision} (api_revision is {AUTO})."
        return f"It speaks API revision {response.revision}."
