"""
Uploaded documents on their way from an upload to the tasks that use them.

What ``UploadDocumentsOperator`` returns of a file is a JSON object: ``name``; ``task_id`` or ``document_id``, whichever
the service told (``docs/nugen-api.rst``, "Documents"); and ``ready``, where it is known that the document can be used.
Pure: no Airflow, no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import TYPE_CHECKING, Any

from airflow_provider_nugen.api.job import SUCCEEDED, Described

if TYPE_CHECKING:
    from airflow_provider_nugen.api.nugen.models import DocumentStatus, ListedDocument


def is_ready(item: object) -> bool:
    """Return whether an uploaded document can be used already, so that there is nothing to wait for."""
    return isinstance(item, Mapping) and item.get("ready") is True and bool(item.get("document_id"))


def describe(item: Mapping[str, Any]) -> Described:
    """
    Return what an upload has told about a document.

    Only revision B knows the id of a task. An id of a document is revision C's: whether B's status endpoint knows it is
    not established.
    """
    name, document_id, task_id = (item.get(field) for field in ("name", "document_id", "task_id"))
    return Described(
        name if isinstance(name, str) and name.strip() else None,
        document_id if isinstance(document_id, str) else None,
        "C" if document_id else "B" if task_id else None,
    )


def find_listed(listed: list[ListedDocument], ids: Set[str], name: str | None) -> DocumentStatus | None:
    """
    Find a document in the list: by its id, else by its file's name, which to the service is the same document.

    :param listed: the list.
    :param ids: the ids that may be the document's.
    :param name: the file's name, if it is known.
    """
    found = [item for item in listed if item.document_id in ids]
    if not found and name:
        found = [item for item in listed if item.filename == name]
    if len(found) != 1 or not found[0].status:
        return None
    from airflow_provider_nugen.api.nugen.models import DocumentStatus  # not loaded by a DAG file

    return DocumentStatus(status=found[0].status, document_id=found[0].document_id)


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
