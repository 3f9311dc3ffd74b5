"""An answer as a transport received it, its JSON, and what a service says in an error."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_nugen.api.safe import is_suspicious, safe_json

if TYPE_CHECKING:
    from airflow_provider_nugen.api.models import ServiceModel

M = TypeVar("M", bound="ServiceModel")

#: An answer that is nested more deeply than this is taken to be unreadable: no answer of either service is, and code
#: that walks through it (Airflow's too) has its own, different limits.
MAX_DEPTH = 100
#: An answer of more values than this is taken to be unreadable, too: parsing it holds up whatever else the process
#: does, in a triggerer the waits of everybody. A list of thousands of jobs has fewer.
MAX_VALUES = 500_000
#: A longer body than this many bytes is not searched for values that are not safe: to make all safe is quicker.
MAX_SEARCH = 2**18
#: An integer of this many digits or more is read as a float; none of 64 bits has as many.
MAX_DIGITS = 30
#: The most errors of a list that are shown.
MAX_ERRORS = 10


@dataclass(slots=True)
class RawResponse:
    """
    An answer as a transport received it, the body complete and at most as long as allowed.

    :param status: the HTTP status.
    :param body: the body, unpacked.
    :param retry_after: the header ``Retry-After`` as sent.
    :param deprecation: the header ``Deprecation`` as sent.
    :param revision: the API revision that the request was made for.
    :param date: the header ``Date`` as sent: the service's clock.
    :param location: the header ``Location`` as sent: where a redirect leads.
    """

    status: int
    body: bytes
    retry_after: str | None = None
    deprecation: str | None = None
    revision: str = ""
    date: str | None = field(default=None, compare=False)
    location: str | None = field(default=None, compare=False)
    _parsed: list[Any] = field(default_factory=list, init=False, repr=False, compare=False)
    _problem: ValueError | None = field(default=None, init=False, repr=False, compare=False)

    def json(self) -> Any:
        """
        Parse the body, once; the values are safe for Airflow (see :mod:`~airflow_provider_nugen.api.safe`).

        :raises ValueError: if it is not JSON, nested too deeply, or has too many values.
        """
        if self._problem is not None:
            raise self._problem
        if not self._parsed:
            try:
                self._parsed.append(_parse(self.body))
            except ValueError as e:
                # A large body is parsed beside the event loop: what it found must not be found again on the loop.
                self._problem = e
                raise
        return self._parsed[0]

    def replace_body(self, body: bytes) -> None:
        """Put another body in the place of one that must not be seen."""
        self.body, self._problem = body, None
        self._parsed.clear()


def _parse(body: bytes) -> Any:
    if not body:
        return None
    nodes = body.count(b"{") + body.count(b"[")
    if nodes + body.count(b",") > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    # A name in another encoding, somewhere in an answer, must not hide the rest of it.
    text = body.decode("utf-8-sig", "replace")
    suspicious = len(body) > MAX_SEARCH or is_suspicious(body)
    try:
        payload = json.loads(text, parse_int=_parse_long if suspicious else None)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    if nodes > MAX_DEPTH:  # else it cannot be nested more deeply; nearly always so
        _check_depth(payload)
    return safe_json(payload) if suspicious else payload


def _parse_long(digits: str) -> int | float:
    # Python refuses to read very long integers.
    return int(digits) if len(digits) < MAX_DIGITS else float(digits)


def _check_depth(payload: Any) -> None:
    level = [payload]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise ValueError(f"nested more than {MAX_DEPTH} levels deep")


def error_message(payload: object) -> str:
    """
    Return what a service says in an error body.

    Nugen answers FastAPI's shapes, ``{"detail": text}`` and ``{"detail": [{"loc", "msg", "type"}]}``, and for a
    duplicate document an object; SeekrFlow ``{"error", "message", "status", "requestUrl"}``, and for 422
    FastAPI's (see the pages of both services in the documentation).
    """
    if not isinstance(payload, Mapping):
        return ""
    for key in ("detail", "message", "error"):
        words = payload.get(key)
        if isinstance(words, str) and words.strip():
            return words.strip()
        if isinstance(words, list) and words:
            return "; ".join(map(_field_words, words[:MAX_ERRORS]))
        if isinstance(words, Mapping):
            return error_message(words) or json.dumps(words, default=str)
    return ""


def _field_words(item: object) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    loc = item.get("loc")
    where = ".".join(map(str, loc)) if isinstance(loc, list) else ""
    message = str(item.get("msg") or item)
    return f"{where}: {message}" if where else message


def list_of(model: type[M], key: str) -> Callable[[Any], list[M]]:
    """Read a list that is wrapped in an object."""

    def read(payload: Any) -> list[M]:
        items = payload.get(key) if isinstance(payload, Mapping) else None
        if not isinstance(items, list):
            raise ValueError(f"expected a list in {key!r}")
        # One by one, since each is read leniently: an item that cannot be read could be the one that is wanted.
        return [model.read(item) for item in items]

    return read


def read_any(payload: object) -> object:
    """Take any JSON, where only the HTTP status matters."""
    return payload
