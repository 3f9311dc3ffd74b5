"""
Uploaded documents on their way from an upload to the tasks that use them.

What ``UploadDocumentsOperator`` returns of a file is a JSON object: ``name``; ``task_id`` or ``document_id``, whichever
the service told (``docs/nugen-api.rst``, "Documents"); and ``ready``, where it is known that the document can be used.
Pure: no Airflow, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from airflow_provider_nugen.api.job import SUCCEEDED


def is_ready(item: object) -> bool:
    """Return whether an uploaded document can be used already, so that there is nothing to wait for."""
    return isinstance(item, Mapping) and item.get("ready") is True and bool(item.get("document_id"))


def final_statuses(items: Iterable[Any], statuses: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """
    Return the final status of each document, with its final id.

    :param items: what was waited for: objects as above, or ids.
    :param statuses: the final statuses of those that were not ready before, in the same order.
    """
    remaining = iter(statuses)
    for item in items:
        if is_ready(item):
            yield {"status": "READY", "document_id": item["document_id"], "error": None, "state": str(SUCCEEDED)}
        else:
            status = next(remaining)
            # Of an id that is a task's only the service can tell the document.
            known = item.get("document_id") if isinstance(item, Mapping) else item
            yield {**status, "document_id": status.get("document_id") or known}
