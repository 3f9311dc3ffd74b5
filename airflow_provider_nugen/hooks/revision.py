"""
Which API revision the service behind a connection speaks.

Decided here only, without I/O, for the sync hook and the async client alike: in which revision a call is sent, and
after the router's own 404 whether it is sent at once in the other one. The router answers before anything is
processed, so that is safe for every method (source: the Nugen page of the documentation).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from airflow_provider_nugen.api.endpoint import Call, PerRevision
from airflow_provider_nugen.api.errors import WrongRouteError
from airflow_provider_nugen.api.response import RawResponse
from airflow_provider_nugen.api.service import AUTO, Service
from airflow_provider_nugen.hooks.settings import Settings

#: Statuses of the router's own refusals, see :meth:`Service.is_from_router`.
ROUTER_STATUSES = frozenset({404, 405})
#: Beside 2xx, the statuses that only an endpoint gives, not a gateway before it.
_ENDPOINT_STATUSES = frozenset({400, 402, 404, 409, 410, 413, 422})
#: The router's answer is shorter than this, in bytes.
_MAX_ROUTER_BODY = 200

_log = logging.getLogger(__name__)
_spoken: dict[tuple[str, str, str], SpokenRevision] = {}


class SpokenRevision:
    """
    The API revision that one service speaks, as far as its answers have told.

    :param service: the service.
    :param conn_id: the Airflow connection, for messages.
    :param revisions: the revisions that may be spoken, the one to begin with first.
    """

    __slots__ = ("_conn_id", "_logged", "_revisions", "_service", "is_proven", "revision")

    def __init__(self, service: Service, conn_id: str, revisions: Sequence[str]) -> None:
        self._service = service
        self._conn_id = conn_id
        self._revisions = tuple(revisions)
        self._logged: set[str] = set()
        #: The revision in which calls are sent.
        self.revision = revisions[0]
        #: Whether an answer has told that the service speaks it, or there is no choice.
        self.is_proven = len(revisions) == 1

    def first_for(self, call: Call[Any]) -> str:
        """Return the revision to send a call in: the spoken one, unless only another one has such a call."""
        if len(self._revisions) == 1 or call.exists_in(self.revision):
            return self.revision
        return next((other for other in self._revisions if call.exists_in(other)), self.revision)

    def next_for(self, call: Call[Any], answer: RawResponse, before: RawResponse | None = None) -> str | None:
        """
        Decide after an answer whether the same call is sent at once in another revision.

        :param call: the call.
        :param answer: its answer.
        :param before: the router's own 404 in the revision that was tried before, if this is the second answer.
        :return: the other revision; ``None`` if the answer stands.
        :raises WrongRouteError: if the router's own 404 stands.
        """
        if not self._is_from_router(answer):
            # Once a revision is proven, only the router's refusal makes room for another one: a late answer in the
            # revision that was spoken before changes nothing.
            if (before is not None or not self.is_proven) and _is_proof(call, answer):
                self._learn(answer.revision)
            return None
        if before is None:
            for other in self._revisions:
                if other != answer.revision and call.exists_in(other) and self._differs(call, answer.revision, other):
                    return other
        self._refuse(call, answer, before)
        return None

    def _is_from_router(self, answer: RawResponse) -> bool:
        if answer.status not in ROUTER_STATUSES or len(answer.body) > _MAX_ROUTER_BODY:
            return False
        return self._service.is_from_router(answer.status, _payload(answer))

    def _differs(self, call: Call[Any], revision: str, other: str) -> bool:
        # To compare, not to send: so past what a call checks or records when it is sent.
        return Call.request(call, revision, self._conn_id) != Call.request(call, other, self._conn_id)

    def _learn(self, revision: str) -> None:
        text = f"{self._service.name} (connection {self._conn_id!r}) speaks API revision {revision}"
        if self.is_proven and revision != self.revision:
            text += f" now (it spoke {self.revision} before)"
        elif self.is_proven:
            return
        self.revision, self.is_proven = revision, True
        # A service of which one half speaks one revision and one the other would fill the log.
        _log.log(logging.DEBUG if text in self._logged else logging.INFO, "%s.", text)
        self._logged.add(text)

    def _refuse(self, call: Call[Any], answer: RawResponse, before: RawResponse | None) -> None:
        if self._service.revisions == ("",):
            return  # the service's own hint says it all
        try:
            call.read(answer, self._conn_id)
        except WrongRouteError as e:
            e.hint = self._hint(answer.revision, before.revision if before else None)
            e.may_pass = len(self._revisions) > 1
            raise

    def _hint(self, last: str, first: str | None) -> str:
        host = "check the base URL (Host) of the connection."
        if len(self._revisions) == 1:
            return (
                f"The service has no such path. The extra 'api_revision' of the connection is {last}: remove it or set "
                f"it to {AUTO}, and {host}"
            )
        if first is None:
            return f"The service has no such path in API revision {last}, and no other revision has another: {host}"
        return f"API revisions {first} and {last} were both tried, and the service has the path of neither: {host}"


def spoken_revision(settings: Settings) -> SpokenRevision:
    """
    Return what is known in this process about the revision behind a connection.

    :param settings: the connection; with another base URL it is another service.
    """
    service = settings.service
    if settings.revision != AUTO:
        return SpokenRevision(service, settings.conn_id, (settings.revision,))
    key = service.conn_type, settings.conn_id, settings.base_url
    spoken = _spoken.get(key)
    if spoken is None:
        spoken = _spoken[key] = SpokenRevision(service, settings.conn_id, service.revisions)
    return spoken


def _payload(answer: RawResponse) -> object:
    try:
        return answer.json()
    except (ValueError, RecursionError):
        return None


def _is_proof(call: Call[Any], answer: RawResponse) -> bool:
    """Return whether an answer shows that the service has the path of its revision, and that no other shares it."""
    path, status = call.endpoint.path, answer.status
    if not isinstance(path, PerRevision) or len(set(path.values.values())) == 1:
        return False
    return 200 <= status < 300 or (status in _ENDPOINT_STATUSES and isinstance(_payload(answer), dict))
