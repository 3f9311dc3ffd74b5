"""
What this provider's tasks raise: classes that a DAG author can catch, and that a retry policy can tell apart.

Each carries what happened as attributes: ``service``, ``conn_id``, ``job_id``, ``status``, ``retry_after``. Most can
occur in two forms, retryable and final; the final one is also an ``AirflowFailException``, which Airflow never
retries. ``except JobFailedError`` catches both.
"""

from __future__ import annotations

from typing import Any, TypeVar

from airflow_provider_nugen.compat import AirflowException, AirflowFailException
from airflow_provider_nugen.waiting.result import Outcome, WaitResult

__all__ = [
    "JOB_ERRORS",
    "InvalidArgumentError",
    "JobCancelledError",
    "JobFailedError",
    "JobTimeoutError",
    "NotReadyError",
    "PossibleDuplicateJobError",
    "ProviderError",
    "RequestRejectedError",
    "ServiceUnreachableError",
    "UnexpectedAnswerError",
    "UploadError",
    "final",
    "wait_error",
]


class ProviderError(AirflowException):
    """
    Base of all errors of this provider's tasks.

    :param message: what happened, to which id, through which connection, and what to do next.
    :param service: the service's name, such as ``"Nugen"``.
    :param conn_id: the Airflow connection.
    :param job_id: the job, or another id that the error is about; a list for a task that waits for several.
    :param status: the job's status word, or the HTTP status of a refused request.
    :param retry_after: seconds after which the service wants to be asked again.
    """

    def __init__(
        self,
        message: str = "",
        *,
        service: str | None = None,
        conn_id: str | None = None,
        job_id: str | list[str] | None = None,
        status: str | int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.service = service
        self.conn_id = conn_id
        self.job_id = job_id
        self.status = status
        self.retry_after = retry_after


class JobFailedError(ProviderError):
    """The job failed; the message has the service's own reason."""


class JobCancelledError(ProviderError):
    """Somebody cancelled or stopped the job."""


class JobTimeoutError(ProviderError):
    """The job was not done when the ``timeout`` of the task that started it was over; a retry continues to wait."""


class ServiceUnreachableError(ProviderError):
    """The service could not be read for too long: what became of the job is not known."""


class RequestRejectedError(ProviderError):
    """The service, or the connection's settings, refuse the request: sending it again unchanged cannot help."""


class NotReadyError(ProviderError):
    """The same request can succeed later, when the job has got further."""


class PossibleDuplicateJobError(ProviderError):
    """A job of this task may exist already, so none was started; the message lists the candidates."""


class UploadError(ProviderError):
    """A file could not be uploaded; what was uploaded before is kept."""


class UnexpectedAnswerError(ProviderError):
    """A model answers, but not as expected; the message says which answers, the log has them in a table."""


class InvalidArgumentError(ProviderError):
    """An argument is wrong; the message names it."""


E = TypeVar("E", bound=ProviderError)
_final: dict[type[ProviderError], type[ProviderError]] = {}


def final(error: type[E]) -> type[E]:
    """
    Return the form of an error that Airflow never retries.

    :param error: the class of the error.
    :return: a subclass that is an ``AirflowFailException``, too; it has the same name.
    """
    cls = _final.get(error)
    if cls is None:
        namespace: dict[str, Any] = {"__doc__": error.__doc__, "__module__": error.__module__}
        cls = _final[error] = type(error.__name__, (error, AirflowFailException), namespace)
    return cls  # type: ignore[return-value]


#: How a wait without success ends a task that started the job, or a script. All but one are retryable, since a retry
#: can start another job.
JOB_ERRORS: dict[Outcome, type[ProviderError]] = {
    Outcome.FAILED: JobFailedError,
    Outcome.CANCELLED: JobCancelledError,
    Outcome.REJECTED: final(RequestRejectedError),
    Outcome.UNREACHABLE: ServiceUnreachableError,
    Outcome.TIMEOUT: JobTimeoutError,
}


def wait_error(
    error: type[ProviderError], result: WaitResult, service: str, conn_id: str, job_id: str | list[str]
) -> ProviderError:
    """
    Return the error that a wait without success ends with.

    :param error: its class.
    :param result: how the wait ended.
    :param service: the service's name.
    :param conn_id: the Airflow connection.
    :param job_id: the job, or the jobs.
    """
    status = result.result.get("status") if isinstance(result.result, dict) else None
    return error(result.message, service=service, conn_id=conn_id, job_id=job_id, status=status)
