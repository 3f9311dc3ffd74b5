"""
Models as assets: what triggers a DAG when somebody has trained a model, whoever that was.

An asset of :func:`aligned_models` or one of its siblings has a watcher, which runs in the triggerer while an unpaused
DAG is scheduled on the asset. :func:`new_models` is the first task of such a DAG: it returns what triggered the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import Asset, AssetWatcher

from airflow_provider_nugen.api.job import JobKind
from airflow_provider_nugen.api.nugen.jobs import alignment_kind
from airflow_provider_nugen.api.seekr import jobs as seekr
from airflow_provider_nugen.triggers.watch import JobWatchTrigger

if TYPE_CHECKING:
    from airflow.sdk import XComArg

__all__ = ["aligned_data", "aligned_models", "fine_tuned_models", "new_models"]

#: What tells one job from another in the events of assets; the first of them that an event has.
_IDS = ("alignment_id", "fine_tune_id", "data_job_id", "alignment_job_id", "evaluation_id", "model_id")


def aligned_models(
    name: str,
    nugen_conn_id: str = "nugen_default",
    *,
    name_like: str | None = None,
    wait_for: str = "alignment",
    poke_interval: timedelta | float = 60,
    since: datetime | None = None,
) -> Asset:
    """
    Return an asset that has an event for every alignment of a Nugen account that is newly trained.

    Also for one that was started elsewhere: in the console, by a notebook, by another Airflow. Each event holds
    ``alignment_id``, ``alignment_name``, ``model_id``, ``evaluation_id``, ``base_model``, ``document_ids``,
    ``performance_metrics``, ``created_date``, ``completed_date``, ``status``, ``job_seconds`` and ``conn_id``.

    An event comes at least once, also when triggerers are killed, and after the service was down; ``alignment_id``
    tells repeats, which :func:`new_models` leaves out within a run. What is trained already when the asset is watched
    for the first time is old. Before Airflow 3.3 assets have no memory: there, what is trained while no triggerer runs
    is old, too.

    :param name: the name of the asset.
    :param nugen_conn_id: the Airflow connection to Nugen.
    :param name_like: a pattern that the name of an alignment must match, such as ``support-*``; upper and lower case
        differ.
    :param wait_for: ``"evaluation"``: an alignment counts when it has been evaluated, too.
    :param poke_interval: seconds between two polls of the list of alignments; all watchers of a connection share them.
    :param since: what was trained after this time is new at the first start; the account's whole history with an
        early one. A time without a zone is UTC.
    :raises ValueError: if an argument cannot be right.
    """
    return _watched(name, alignment_kind(wait_for), nugen_conn_id, name_like, poke_interval, since, group="model")


def fine_tuned_models(
    name: str,
    seekr_conn_id: str = "seekr_default",
    *,
    name_like: str | None = None,
    poke_interval: timedelta | float = 60,
    since: datetime | None = None,
) -> Asset:
    """
    Return an asset that has an event for every fine-tune of a SeekrFlow account that is newly done.

    As :func:`aligned_models`; each event holds ``fine_tune_id``, ``experiment_name``, ``model`` (the base model),
    ``training_files``, ``epoch``, ``loss``, ``inference_available``, ``created_at``, ``completed_at``, ``status``,
    ``job_seconds`` and ``conn_id``.

    :param name: the name of the asset.
    :param seekr_conn_id: the Airflow connection to SeekrFlow.
    :param name_like: a pattern that the name of the experiment must match.
    :param poke_interval: seconds between two polls of the list of fine-tunes.
    :param since: what was done after this time is new at the first start.
    :raises ValueError: if an argument cannot be right.
    """
    return _watched(name, seekr.FINE_TUNE, seekr_conn_id, name_like, poke_interval, since, group="model")


def aligned_data(
    name: str,
    seekr_conn_id: str = "seekr_default",
    *,
    name_like: str | None = None,
    poke_interval: timedelta | float = 60,
    since: datetime | None = None,
) -> Asset:
    """
    Return an asset that has an event for every data job of a SeekrFlow account that is newly done.

    As :func:`aligned_models`; each event holds ``data_job_id``, ``alignment_job_id``, ``name``, ``job_type``,
    ``status`` and ``conn_id``. When a data job was done the service does not say: with ``since``, the time when it was
    created counts.

    :param name: the name of the asset.
    :param seekr_conn_id: the Airflow connection to SeekrFlow.
    :param name_like: a pattern that the name of the data job must match.
    :param poke_interval: seconds between two polls of the list of data jobs.
    :param since: what was created after this time is new at the first start.
    :raises ValueError: if an argument cannot be right.
    """
    return _watched(name, seekr.DATA_JOB, seekr_conn_id, name_like, poke_interval, since, group="asset")


def _watched(
    name: str,
    kind: JobKind[Any],
    conn_id: str,
    name_like: str | None,
    poke_interval: timedelta | float,
    since: datetime | None,
    group: str,
) -> Asset:
    interval = poke_interval.total_seconds() if isinstance(poke_interval, timedelta) else float(poke_interval)
    if not interval > 0:
        raise ValueError(f"poke_interval must be a positive number of seconds, not {poke_interval!r}")
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    trigger = JobWatchTrigger(
        name=name,
        kind=kind.key,
        conn_id=conn_id,
        name_like=name_like,
        poke_interval=interval,
        since=None if since is None else since.timestamp(),
    )
    return Asset(
        name=name,
        # The host is not known where a DAG is parsed: no connection is read there.
        uri=f"{kind.service.conn_type}://{quote(conn_id, safe='')}/watched/{quote(name, safe='')}",
        group=group,
        watchers=[AssetWatcher(name=f"{name} ({kind.key} of {conn_id})", trigger=trigger)],
    )


def new_models(task_id: str = "new_models", **kwargs: Any) -> XComArg:
    """
    Add a task that returns what triggered the run: a list of dicts, one for each model, to map over.

    Airflow 3.3 puts all events that have come meanwhile into one run, and 3.4 makes a run of each: ``expand`` over the
    list is right in both. A run that nobody's model triggered gets an empty list, so that what is mapped over it is
    skipped. Events of outlets count, too: they hold the same names.

    :param task_id: the id of the task.
    :param kwargs: other arguments of the task, such as ``retries``.
    """
    from airflow.sdk import task

    return task(task_id=task_id, **kwargs)(triggering_models)()


def triggering_models(triggering_asset_events: Mapping[Any, Iterable[Any]] | None = None) -> list[dict[str, Any]]:
    """
    Return what the events that triggered a run say, oldest first, each job once.

    :param triggering_asset_events: Airflow's events by their assets, from the context of the running task.
    """
    events = [event for events in (triggering_asset_events or {}).values() for event in events]
    found: dict[tuple[str, Any], dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: event.timestamp):
        extra = event.extra or {}
        payload = extra.get("payload") if extra.get("from_trigger") else extra
        for job in _jobs(payload):
            # Of two events of one job the later one wins, in the place of the earlier.
            found[next((key, job[key]) for key in _IDS if job.get(key))] = job
    return list(found.values())


def _jobs(payload: Any) -> Iterable[dict[str, Any]]:
    """Return the jobs that an event is about: an outlet of a task that waits for several has one event for all."""
    if not isinstance(payload, Mapping):
        return []
    jobs = payload.get("jobs")
    many = jobs if isinstance(jobs, list) else [payload]
    return [dict(job) for job in many if isinstance(job, Mapping) and any(job.get(key) for key in _IDS)]
