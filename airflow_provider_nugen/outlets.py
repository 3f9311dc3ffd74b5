"""What a task that succeeded says in the events of its outlets: ids, what was made of what, metrics, durations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from airflow_provider_nugen.api.asset_uri import asset_uri
from airflow_provider_nugen.api.safe import safe_json

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_provider_nugen.tasks import ServiceTask

#: The event of an asset names so many jobs at the most; that of an alias has one event for each.
MAX_JOBS = 1000


def fill_outlet_events(
    task: ServiceTask, context: Context, jobs: Callable[[], Sequence[Mapping[str, Any]]], *, many: bool = False
) -> None:
    """
    Write what a task has made into the events of its outlets. Never raises: the job has succeeded.

    The event of an asset gets the facts as they are; for several jobs their ids as lists (``model_ids``) and ``jobs``.
    An alias gets an event for each job, of the asset ``nugen://<host>/models/<id>``.

    :param task: the task; one without outlets costs nothing.
    :param context: the context of the running task.
    :param jobs: returns what is known of each job, by the names that watchers use, too; called only if needed.
    :param many: the task is about a list of jobs, be it of one.
    """
    if not task.outlets:
        return
    try:
        facts = [safe_json(job) for job in jobs()]
        events = context["outlet_events"]
        for outlet in task.outlets:
            if isinstance(outlet, AssetAlias):
                for job in facts:
                    _add_alias_event(task, events[outlet], job)
            elif isinstance(outlet, Asset):
                events[outlet].extra.update(_together(facts) if many else facts[0] if facts else {})
    except Exception:
        task.log.warning("The events of the outlets have no ids and metrics.", exc_info=True)


def _together(facts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for job in facts for name, value in job.items() if name.endswith("_id") and value)
    ids = {f"{name}s": [job.get(name) for job in facts[:MAX_JOBS]] for name in names}
    return {**ids, "jobs": list(facts[:MAX_JOBS]), "job_count": len(facts)}


def _add_alias_event(task: ServiceTask, accessor: Any, job: dict[str, Any]) -> None:
    hook = task.hook
    if (uri := asset_uri(hook.service, hook.settings.base_url, job)) is None:
        return
    asset = Asset(name=uri, uri=uri)
    for event in accessor.asset_alias_events:
        if event.dest_asset_key.uri == asset.uri:
            # Said before, when it was started.
            event.extra.update(job)
            return
    accessor.add(asset, extra=job)
