"""The error tree of both services.

Every error says what was tried, on which id, through which connection, what the service said, and what to do
next. The waiter and the operators only read the class attributes: whether the same request can succeed
later (``transient``) and whether the service may already have acted on it (``maybe_processed``).
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import ClassVar

from airflow_provider_nugen.api.safe import safe_text


class ApiError(Exception):
    """
    Base of everything that can go wrong between the provider and a service.

    :param problem: what happened, without the context.
    :param context: what was tried, e.g. ``Nugen (connection 'nugen_default'): get alignment status of
        alignment_id 'a-1'``.
    :param hint: what a person can do about it.
    """

    #: The same request can succeed later without anybody changing anything.
    transient: ClassVar[bool] = False

    def __init__(self, problem: str, *, context: str = "", hint: str | None = None) -> None:
        # A service, a library or an id may have put anything into them.
        problem = safe_text(problem)
        super().__init__(problem)
        self.problem = problem
        self.context = safe_text(context)
        self.hint = hint and safe_text(hint)
        #: The service may have acted on the request although it did not say so.
        self.maybe_processed = False
        #: The ``Retry-After`` header as sent: seconds, or an HTTP date.
        self.retry_after: str | None = None

    @property
    def advice(self) -> str:
        """What happened and what to do next, without the context."""
        return f"{self.problem} {self.hint}" if self.hint else self.problem

    def __str__(self) -> str:
        return f"{self.context}: {self.advice}" if self.context else self.advice


class InvalidInputError(ApiError, ValueError):
    """An argument cannot be sent: an empty id, a field that this API revision does not have."""


class ConnectionSettingsError(ApiError):
    """The Airflow connection is missing, incomplete or contradictory."""


class TransportError(ApiError):
    """
    No complete answer arrived: refused or dropped connection, time-out, truncated body.

    :param sent: whether the service may have received the request.
    """

    transient = True

    def __init__(self, problem: str, *, context: str = "", hint: str | None = None, sent: bool = True) -> None:
        super().__init__(problem, context=context, hint=hint)
        self.maybe_processed = sent


class CertificateError(ApiError):
    """The server's TLS certificate does not verify."""


class UnreadableResponseError(ApiError):
    """A success status came with a body that is not JSON, too large, or lacks what is needed."""

    transient = True

    def __init__(self, problem: str, *, context: str = "", hint: str | None = None) -> None:
        super().__init__(problem, context=context, hint=hint)
        self.maybe_processed = True


class ResponseError(ApiError):
    """
    The service answered with an HTTP status other than 2xx.

    :param status: the HTTP status.
    :param payload: the parsed body, which can name an existing thing (409) or a field (422).
    """

    def __init__(
        self, problem: str, *, status: int, payload: object = None, context: str = "", hint: str | None = None
    ) -> None:
        super().__init__(problem, context=context, hint=hint)
        self.status = status
        self.payload = payload


class TransientResponseError(ResponseError):
    """408, 425, 429 or 5xx: the service or something before it is unwell or wants to be asked later."""

    transient = True


class UnauthorizedError(ResponseError):
    """401: the service does not accept the key."""


class NotFoundError(ResponseError):
    """404: there is no such thing (or not yet)."""


class NotReadyError(ResponseError):
    """What is asked for is not there yet: the same call can succeed later, when the job has got further."""


class WrongRouteError(ResponseError):
    """
    404 or 405 from the router itself: this host, or this API revision, does not have the endpoint.

    ``may_pass``: no API revision is set, so it may be a gateway whose service is being moved.
    """

    may_pass = False


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """
    Read a ``Retry-After`` header: seconds, or an HTTP date (RFC 9110, section 10.2.3).

    :param header: the header as sent.
    :param now: the time in epoch seconds.
    :return: seconds from now, never negative; ``None`` if there is no (readable) header.
    """
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        date = parsedate_to_datetime(text)
        return max(date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now, 0.0)
    except (ValueError, TypeError, OverflowError):
        return None
