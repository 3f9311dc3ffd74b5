"""What a service is: address, authentication, API revisions, and how to help with its errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: The ``api_revision`` of a connection whose service shall show which revision it speaks.
AUTO = "auto"


@dataclass(frozen=True)
class Service:
    """
    One hosted service.

    :param name: how people call it.
    :param conn_type: the Airflow connection type.
    :param base_url: where it lives unless the connection says otherwise.
    :param authorization: makes the ``Authorization`` header of the key.
    :param revisions: the API revisions that the service may speak, the likeliest first; a connection can also leave the
        choice open (:data:`AUTO`, the default).
    :param header_extras: connection extras that are sent as headers: extra to header.
    :param hints: what to do next, by HTTP status.
    :param wrong_route_hint: what to do when the router itself answers 404.
    :param key_check: a path that is about no job and the same in all revisions, to check the key with.
    """

    name: str
    conn_type: str
    base_url: str
    authorization: Callable[[str], str]
    revisions: tuple[str, ...] = ("",)
    header_extras: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[int, str] = field(default_factory=dict)
    wrong_route_hint: str = ""
    key_check: str = ""

    def is_from_router(self, status: int, payload: object) -> bool:
        """
        Tell the router's own 404 from a missing job's.

        Both services are FastAPI applications, whose router answers ``{"detail": "Not Found"}``; a missing job
        is named (``"Model not found"``; source: Nugen facts, "Three revisions"). Where the path of one revision is in
        another that of another method, the router answers ``405 {"detail": "Method Not Allowed"}``.
        """
        return (status, payload) in ((404, {"detail": "Not Found"}), (405, {"detail": "Method Not Allowed"}))
