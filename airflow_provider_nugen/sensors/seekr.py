"""Sensors for SeekrFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.seekr import jobs
from airflow_provider_nugen.arguments import check_conn_id
from airflow_provider_nugen.hooks.seekr import SeekrHook
from airflow_provider_nugen.sensors.base import JobSensor

if TYPE_CHECKING:
    from airflow_provider_nugen.arguments import JobIds


class SeekrSensor(JobSensor):
    """
    Waits for a job at SeekrFlow.

    :param seekr_conn_id: the Airflow connection.
    """

    hook_class = SeekrHook

    def __init__(self, *, seekr_conn_id: str = SeekrHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_conn_id(seekr_conn_id, "seekr_conn_id")
        self.seekr_conn_id = seekr_conn_id


class SeekrAlignmentSensor(SeekrSensor):
    """
    Waits until an alignment job is done.

    XCom: ``return_value`` (the final status).

    :param alignment_job_id: the job, as ``SeekrCreateAlignmentOperator`` returned it,
        or a list of them.
    :param seekr_conn_id: the Airflow connection.
    """

    kind = jobs.ALIGNMENT
    template_fields: Sequence[str] = ("alignment_job_id", "seekr_conn_id", "poke_interval")

    def __init__(self, *, alignment_job_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alignment_job_id = alignment_job_id


class SeekrDataJobSensor(SeekrSensor):
    """
    Waits until a data job is done.

    One that ``needs_review`` fails, since a person must act: the error says whether files failed, or whether there are
    no files, or no system prompt.

    XComs: ``return_value`` (the final status), ``alignment_job_id``.

    :param data_job_id: the job, as ``SeekrCreateDataJobOperator`` returned it, or a list of them.
    :param seekr_conn_id: the Airflow connection.
    """

    kind = jobs.DATA_JOB
    template_fields: Sequence[str] = ("data_job_id", "seekr_conn_id", "poke_interval")

    def __init__(self, *, data_job_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.data_job_id = data_job_id


class SeekrFineTuneSensor(SeekrSensor):
    """
    Waits until a fine-tune is completed. The log says loss and epoch when they change.

    XComs: ``return_value`` (the final status, with ``epoch`` and ``loss``), ``fine_tune_id``.

    :param fine_tune_id: the job, as ``SeekrCreateFineTuneOperator`` returned it.
    :param seekr_conn_id: the Airflow connection.
    """

    kind = jobs.FINE_TUNE
    template_fields: Sequence[str] = ("fine_tune_id", "seekr_conn_id", "poke_interval")

    def __init__(self, *, fine_tune_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fine_tune_id = fine_tune_id


class SeekrDeploymentSensor(SeekrSensor):
    """
    Waits until a deployment is active. One that stays inactive for ten minutes fails: nobody has promoted it.

    XComs: ``return_value`` (the final status), ``deployment_id``, ``model_id``.

    :param deployment_id: the deployment, as ``SeekrCreateDeploymentOperator`` returned it.
    :param seekr_conn_id: the Airflow connection.
    """

    kind = jobs.DEPLOYMENT
    template_fields: Sequence[str] = ("deployment_id", "seekr_conn_id", "poke_interval")

    def __init__(self, *, deployment_id: JobIds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deployment_id = deployment_id
