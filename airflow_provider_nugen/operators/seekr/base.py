"""What all operators for SeekrFlow have in common."""

from __future__ import annotations

from typing import Any

from airflow_provider_nugen.arguments import check_conn_id
from airflow_provider_nugen.hooks.seekr import SeekrHook
from airflow_provider_nugen.operators.base import ServiceOperator
from airflow_provider_nugen.operators.submit import SubmitOperator


class SeekrOperator(ServiceOperator):
    """
    Calls SeekrFlow.

    :param seekr_conn_id: the Airflow connection.
    """

    hook_class = SeekrHook

    def __init__(self, *, seekr_conn_id: str = SeekrHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_conn_id(seekr_conn_id, "seekr_conn_id")
        self.seekr_conn_id = seekr_conn_id


class SeekrStartOperator(SeekrOperator, SubmitOperator):
    """
    Starts a job at SeekrFlow, which can cancel jobs.

    :param seekr_conn_id: the Airflow connection.
    """
