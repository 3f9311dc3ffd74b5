"""What all operators have in common: sending one call, and how its failure ends the task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import ApiError, NotReadyError
from airflow_provider_nugen.compat import AirflowException, AirflowFailException
from airflow_provider_nugen.tasks import ServiceTask

if TYPE_CHECKING:
    from airflow.sdk import Context

T = TypeVar("T")


class ServiceOperator(ServiceTask):
    """
    Calls a service; the base of all operators of this provider.

    A call that provably was not processed (connection refused, 429, 503 with ``Retry-After``), and a call that can be
    repeated without harm, is sent again a few times, and then fails the task so that a retry may go on. A call that the
    service refuses fails it for good: ``AirflowFailException``.
    """

    def send(self, call: Call[T]) -> T:
        """
        Send a call.

        :raises AirflowFailException: if running the task again cannot help.
        :raises AirflowException: if it can.
        """
        try:
            return self.hook.request(call)
        except ApiError as e:
            raise self.failed(e) from None
        finally:
            self.hook.close()

    def failed(self, error: ApiError) -> AirflowException:
        """Make the exception that ends the task: retryable if the same call can succeed later."""
        later = error.transient or isinstance(error, NotReadyError)
        return (AirflowException if later else AirflowFailException)(str(error))

    def push_xcoms(self, context: Context, ids: dict[str, Any]) -> dict[str, Any]:
        """Push ids as XComs of their own where they are not null, and return them."""
        if self.do_xcom_push:
            for name, value in ids.items():
                if value is not None:
                    context["ti"].xcom_push(key=name, value=value)
        return ids


def id_list(value: Sequence[str] | str | None, argument: str) -> list[str]:
    """
    Take ids as they come out of templates and XComs.

    :param value: several ids, or one.
    :param argument: the operator's argument, for errors.
    :raises AirflowFailException: if there are none, or a template has turned the list into text.
    """
    if value is None:
        raise AirflowFailException(f"{argument} is None: check that the task before handed the ids on.")
    if not isinstance(value, str):
        return list(value)
    if value.lstrip().startswith(("[", "(")):
        raise AirflowFailException(
            f"{argument} is text, not a list: {value!r}. Set render_template_as_native_obj=True on the DAG, so that "
            "templates keep the type of what they render."
        )
    return [value]
