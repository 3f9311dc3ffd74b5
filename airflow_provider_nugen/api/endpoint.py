"""
What an endpoint is: one declaration that both transports carry out.

Nothing here knows Airflow, a clock or a socket. An :class:`Endpoint` says which method, path, body and model;
:meth:`Endpoint.call` binds ids and fields to it; :meth:`Call.request` says what to send for one API revision;
:meth:`Call.read` turns an answer into the model or into an error of :mod:`~airflow_provider_nugen.api.errors`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, BinaryIO, Generic, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from airflow_provider_nugen.api import errors
from airflow_provider_nugen.api.response import RawResponse, error_message
from airflow_provider_nugen.api.service import AUTO, Service

T = TypeVar("T")
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)

#: Statuses after which the same request can succeed later.
TRANSIENT_STATUSES = frozenset({408, 425, 429})
#: A service's own words are cut to this many characters in an error.
MAX_WORDS = 1000
#: The most characters that are shown of the address that a redirect leads to.
MAX_LOCATION = 200


@dataclass(frozen=True, eq=False)
class PerRevision(Generic[V_co]):
    """Something that differs between the API revisions of a service; ``None`` = not there."""

    values: Mapping[str, V_co]

    def first(self) -> Any:
        """Return the value of the first revision that has one."""
        return next(value for value in self.values.values() if value is not None)


def per_revision(**values: V) -> PerRevision[V]:
    """Declare a path, a name or a reader per API revision: ``per_revision(B="name", C="alignment_name")``."""
    return PerRevision(values)


#: One for all revisions, or one each.
Name = str | PerRevision[str] | PerRevision[str | None]


def _in_revision(value: Any, revision: str) -> Any:
    return value.values[revision] if isinstance(value, PerRevision) else value


@dataclass(frozen=True)
class Upload:
    """
    A file of a multipart request.

    :param field: the form field.
    :param name: the file's name as the service shall see it.
    :param open: opens the file for reading; called by the transport when it sends.
    :param revision: the API revision that this form of the file is for; ``None`` = for all.
    :param size: its size in bytes, where whoever sends it knows it.
    """

    field: str
    name: str
    open: Callable[[], BinaryIO]
    revision: str | None = None
    size: int = 0


@dataclass(slots=True)
class Request:
    """What to send, relative to the connection's base URL. ``target`` is quoted already."""

    method: str
    target: str
    json: dict[str, Any] | None = None
    form: Mapping[str, str | Sequence[str]] | None = None
    uploads: Sequence[Upload] = ()


@dataclass(frozen=True, eq=False)
class Endpoint(Generic[T]):
    """
    One endpoint of a service.

    :param service: whose endpoint it is.
    :param operation: what it does, in words for logs and errors.
    :param method: the HTTP method.
    :param path: the path template; ``{alignment_id}`` and the like become quoted path segments.
    :param read: turns the parsed JSON body into the result, or one reader per revision; raises ``ValueError`` if it
        cannot.
    :param body: the fields of a JSON body (or form, with ``multipart``), argument name to wire name; a dot leads into
        an object: ``training_config.model``; an object of that name is completed, not replaced.
    :param query: the same for the query string.
    :param multipart: the body is a form with files.
    :param idempotent: a POST that can be sent twice without harm.
    :param not_ready_status: the HTTP status that says that the job has not got far enough yet.
    :param hints: what to do next, by HTTP status, where the service's own hint is too general.
    """

    service: Service
    operation: str
    method: str
    path: Name
    read: Callable[[Any], T] | PerRevision[Callable[[Any], T]]
    body: Mapping[str, Name] = field(default_factory=dict)
    query: Mapping[str, Name] = field(default_factory=dict)
    multipart: bool = False
    idempotent: bool = False
    not_ready_status: int | None = None
    hints: Mapping[int, str] = field(default_factory=dict)

    @property
    def is_idempotent(self) -> bool:
        """Sending the request twice is the same as sending it once."""
        return self.idempotent or self.method in ("GET", "DELETE")

    def call(self, **values: Any) -> Call[T]:
        """
        Bind ids and fields to the endpoint. Fields that are ``None`` are left out.

        :raises TypeError: for a name that the endpoint does not know (a mistake in the provider).
        """
        ids = {name: values.pop(name) for name in self._path_names}
        if unknown := values.keys() - self.body.keys() - self.query.keys():
            raise TypeError(f"{self.operation}: unknown field {sorted(unknown)}")
        return Call(self, ids, {name: value for name, value in values.items() if value is not None})

    def upload(self, uploads: Sequence[Upload], **values: Any) -> Call[T]:
        """Bind files, too."""
        return replace(self.call(**values), uploads=uploads)

    @cached_property
    def _path_names(self) -> tuple[str, ...]:
        """The ids in the path; the same in all revisions."""
        path = self.path if isinstance(self.path, str) else self.path.first()
        return tuple(re.findall(r"{(\w+)}", path))


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """An endpoint with its ids and fields: the same in sync and async code."""

    endpoint: Endpoint[T]
    ids: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    uploads: Sequence[Upload] = ()

    def context(self, conn_id: str) -> str:
        """Return what is tried, for errors: service, connection, operation, id."""
        of = ", ".join(f"{name} {value!r}" for name, value in self.ids.items())
        service, operation = self.endpoint.service.name, self.endpoint.operation
        return f"{service} (connection {conn_id!r}): {operation}" + (f" of {of}" if of else "")

    def exists_in(self, revision: str) -> bool:
        """Return whether an API revision has this call, with all the fields and files that are bound to it."""
        endpoint, values = self.endpoint, self.values
        if _in_revision(endpoint.path, revision) is None:
            return False
        if self.uploads and not any(upload.revision in (None, revision) for upload in self.uploads):
            return False
        return not values or all(
            _in_revision(name, revision) is not None
            for names in (endpoint.body, endpoint.query)
            for field_name, name in names.items()
            if field_name in values
        )

    def request(self, revision: str, conn_id: str) -> Request:
        """
        Build what to send.

        :param revision: the API revision to speak; ``auto`` means the service's likeliest.
        :param conn_id: the connection, for errors.
        :raises InvalidInputError: for an id that is not a path segment, or a field that this revision lacks.
        """
        try:
            return self._request(self.endpoint.service.revisions[0] if revision == AUTO else revision)
        except errors.InvalidInputError as e:
            e.context = self.context(conn_id)
            raise

    def _request(self, revision: str) -> Request:
        endpoint = self.endpoint
        path = _in_revision(endpoint.path, revision)
        if path is None:
            raise errors.InvalidInputError(f"this call does not exist in API revision {revision}.")
        target = path.format_map({name: path_segment(value, name) for name, value in self.ids.items()})
        if not self.values and not endpoint.body:
            return Request(endpoint.method, target)
        body, query = (self._renamed(names, revision) for names in (endpoint.body, endpoint.query))
        if query:
            target += "?" + urlencode({k: json.dumps(v) if isinstance(v, bool) else v for k, v in query.items()})
        if endpoint.multipart:
            uploads = [upload for upload in self.uploads if upload.revision in (None, revision)]
            return Request(endpoint.method, target, form=body, uploads=uploads)
        return Request(endpoint.method, target, json=_nested(body) if endpoint.body else None)

    def _renamed(self, names: Mapping[str, Name], revision: str) -> dict[str, Any]:
        renamed = {}
        for field_name, name in names.items():
            if field_name in self.values:
                wire_name = _in_revision(name, revision)
                if wire_name is None:
                    raise errors.InvalidInputError(
                        f"API revision {revision} has no field for {field_name!r}.",
                        hint=f"Leave {field_name!r} out, or set another api_revision in the connection's extras.",
                    )
                renamed[wire_name] = self.values[field_name]
        return renamed

    def read(self, response: RawResponse, conn_id: str) -> T:
        """
        Turn an answer into the result.

        :raises ResponseError: for every status other than 2xx.
        :raises UnreadableResponseError: for a body that is not JSON or lacks what is needed.
        """
        try:
            payload = response.json()
        except ValueError as e:
            if 200 <= response.status < 300:
                why = "it is not JSON" if isinstance(e, json.JSONDecodeError) else f"it cannot be read as JSON ({e})"
                raise self._unreadable(response, why, conn_id) from None
            payload = None
        if not 200 <= response.status < 300:
            raise self._error(response, payload, conn_id)
        read = self.endpoint.read
        if isinstance(read, PerRevision):
            read = read.values.get(response.revision) or read.first()
        try:
            return read(payload)
        except ValueError as e:
            raise self._unreadable(response, str(e), conn_id) from None

    def _unreadable(self, response: RawResponse, why: str, conn_id: str) -> errors.UnreadableResponseError:
        start = response.body[:80].decode("utf-8", "replace")
        return errors.UnreadableResponseError(
            f"HTTP {response.status}, but the body cannot be used: {why}. It begins with {start!r}.",
            context=self.context(conn_id),
        )

    def _error(self, response: RawResponse, payload: object, conn_id: str) -> errors.ResponseError:
        service, status = self.endpoint.service, response.status
        message = error_message(payload) or response.body[:200].decode("utf-8", "replace").strip()
        cls: type[errors.ResponseError] = errors.ResponseError
        hint = self.endpoint.hints.get(status) or service.hints.get(status)
        if service.is_from_router(status, payload):
            cls, hint = errors.WrongRouteError, service.wrong_route_hint
        elif status == self.endpoint.not_ready_status:
            cls = errors.NotReadyError
        elif status == 404:
            cls = errors.NotFoundError
        elif status == 401:
            cls = errors.UnauthorizedError
        elif status in TRANSIENT_STATUSES or status >= 500:
            cls = errors.TransientResponseError
        elif 300 <= status < 400:
            hint = self._redirect_hint(response)
        problem = f"HTTP {status}" + (f": {message[:MAX_WORDS].rstrip('.')}." if message else ".")
        error = cls(problem, status=status, payload=payload, context=self.context(conn_id), hint=hint)
        error.retry_after = response.retry_after
        # 429 means refused unread, and so does 503 when it says when to come back; behind any other 5xx or a
        # 408 the service may have acted.
        error.maybe_processed = status == 408 or (
            status >= 500 and not (status == 503 and response.retry_after is not None)
        )
        return error

    def _redirect_hint(self, response: RawResponse) -> str:
        """Return what to do about a redirect, of which a slash at the end of the path is the likeliest reason."""
        advice = "set the final address as the Host (base URL) of the connection."
        if response.location is None:
            return f"Redirects are not followed: {advice}"
        try:
            wanted = urlsplit(response.location).path
        except ValueError:
            wanted = ""
        asked = self._request(response.revision or self.endpoint.service.revisions[0]).target.partition("?")[0]
        if wanted.endswith("/") != asked.endswith("/") and wanted.rstrip("/").endswith(asked.rstrip("/")):
            advice = (
                "nothing was processed. There the path only ends in another way. A gateway before the service is the "
                "likeliest reason: let it pass on the path as it is. Otherwise update airflow-provider-nugen."
            )
        return f"Redirects are not followed, here to {response.location[:MAX_LOCATION]!r}: {advice}"


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Build the objects that dotted names lead into; a field of its own wins over one of a whole object."""
    nested: dict[str, Any] = {}
    for name, value in sorted(fields.items(), key=lambda field: "." in field[0]):
        outer, _, inner = name.partition(".")
        nested[outer] = {**nested.get(outer, {}), inner: value} if inner else value
    return nested


def path_segment(value: object, name: str, context: str = "") -> str:
    """
    Quote an id into one path segment, so that ``/`` and ``?`` in it stay part of the id.

    :raises InvalidInputError: for what HTTP clients or servers would normalise away: nothing, blanks, ``.``
        and ``..``; and for text that no URL can carry.
    """
    text = "" if value is None else str(value)
    if not text.strip():
        raise errors.InvalidInputError(
            f"{name} is {value!r}, so there is nothing to ask for.",
            context=context,
            hint=f"Pass {name}; if it comes from an XCom, check that the upstream task pushed this XCom.",
        )
    if text in (".", ".."):
        raise errors.InvalidInputError(f"{name} {text!r} cannot be an id.", context=context)
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise errors.InvalidInputError(f"{name} {text!r} is not valid text.", context=context) from None
