"""What Nugen answers to an upload (``docs/nugen-api.rst``, "Documents")."""

from __future__ import annotations

from typing import NamedTuple


class UploadedDocument(NamedTuple):
    """
    What an upload answered about one file.

    :param id: the id that the status endpoint takes.
    :param document_id: the document's id, if it is known already.
    """

    id: str
    document_id: str | None


def _read_ids(payload: object) -> list[str]:
    """Read the answer to an upload: a bare list of ids, or ``{"document_ids": [...]}``; both occur."""
    ids = payload.get("document_ids") if isinstance(payload, dict) else payload
    if not isinstance(ids, list) or not all(isinstance(item, str) and item.strip() for item in ids):
        raise ValueError("expected a list of document ids")
    return ids


def read_task_ids(payload: object) -> list[UploadedDocument]:
    """
    Read revision B's answer to an upload: ids of tasks, whatever the answer calls them.

    :raises ValueError: if there is no list of ids.
    """
    return [UploadedDocument(task_id, None) for task_id in _read_ids(payload)]


def read_document_ids(payload: object) -> list[UploadedDocument]:
    """
    Read revision C's answer to an upload: ids of documents.

    :raises ValueError: if there is no list of ids.
    """
    return [UploadedDocument(document_id, document_id) for document_id in _read_ids(payload)]


def existing_document_id(payload: object) -> str | None:
    """Return the id of the document that exists already, from the answer 409 to its upload: anywhere in ``detail``."""
    todo = [payload.get("detail") if isinstance(payload, dict) else None]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo += part
        elif isinstance(part, dict):
            found = part.get("document_id")
            if isinstance(found, str) and found.strip():
                return found
            todo += part.values()
    return None
