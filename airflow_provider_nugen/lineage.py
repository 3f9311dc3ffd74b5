"""What OpenLineage is told of a task. Imported only when that provider asks, so only where it is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.openlineage.facet import Dataset, ErrorMessageRunFacet, ExternalQueryRunFacet
from airflow.providers.openlineage.extractors import OperatorLineage

from airflow_provider_nugen.api.asset_uri import asset_uri
from airflow_provider_nugen.waiting.result import Outcome

if TYPE_CHECKING:
    from airflow_provider_nugen.tasks import ServiceTask

#: What a task can be made of: the arguments that say so, and where those things are at the service.
INPUTS = {
    "document_ids": "documents",
    "document_id": "documents",
    "training_files": "files",
    "file_ids": "files",
    "base_model": "models",
    "model": "models",
    "model_id_2": "models",
    "benchmark_id": "benchmarks",
}
#: Arguments that name a job.
JOBS = ("alignment_id", "evaluation_id", "alignment_job_id", "data_job_id", "fine_tune_id", "deployment_id")


def lineage(task: ServiceTask) -> OperatorLineage:
    """
    Return what a task is made of, what it has made, and how it ended. Never raises.

    :param task: the task, as it ran.
    """
    try:
        return _lineage(task)
    except Exception:
        task.log.warning("OpenLineage is told nothing of this task.", exc_info=True)
        return OperatorLineage()


def _lineage(task: ServiceTask) -> OperatorLineage:
    service, base_url = task.hook.service, task.hook.settings.base_url
    namespace = f"{service.conn_type}://{urlsplit(base_url).netloc}"
    made = list(task.made()) if task.made else []
    inputs = [*_named(vars(task)), *(name for facts in made for name in _named(facts))]
    uris = dict.fromkeys(uri for facts in made if (uri := asset_uri(service, base_url, facts)))
    jobs = dict.fromkeys(str(source[name]) for source in (*made, vars(task)) for name in JOBS if source.get(name))
    facets: dict[str, Any] = {}
    if jobs:
        facets["externalQuery"] = ExternalQueryRunFacet(externalQueryId=", ".join(jobs), source=namespace)
    if task.ended is not None and task.ended.outcome is not Outcome.SUCCEEDED:
        facets["errorMessage"] = ErrorMessageRunFacet(message=task.ended.message, programmingLanguage="python")
    return OperatorLineage(
        inputs=[Dataset(namespace=namespace, name=name) for name in dict.fromkeys(inputs)],
        outputs=[Dataset(namespace=namespace, name=urlsplit(uri).path.lstrip("/")) for uri in uris],
        run_facets=facets,
    )


def _named(values: Mapping[str, Any]) -> Iterator[str]:
    """Return the names of what arguments or facts hold of the things that jobs are made of."""
    for argument, path in INPUTS.items():
        value = values.get(argument)
        many: Iterable[Any] = [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else ()
        for one in many:
            held = one.get("document_id") if isinstance(one, Mapping) else one
            if isinstance(held, str) and held.strip():
                yield f"{path}/{quote(held, safe='')}"
