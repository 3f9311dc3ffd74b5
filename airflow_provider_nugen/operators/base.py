"""What all operators have in common: sending one call, and how its failure ends the task."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from airflow.sdk import BaseOperator

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import ApiError
from airflow_provider_nugen.compat import AirflowException, AirflowFailException
from airflow_provider_nugen.hooks.base import ServiceHook

if TYPE_CHECKING:
    from airflow.sdk import Context

T = TypeVar("T")


class ServiceOperator(BaseOperator):
    """
    Calls a service; the base of all operators of this provider.

    A call that provably was not processed (connection refused, 429, 503 with ``Retry-After``) is sent again a few
    times, and then fails the task so that a retry may go on. A call that the service refuses fails it for good:
    ``AirflowFailException``. After an ambiguous failure of a call that costs money (a time-out, a dropped connection, a
    502) nothing is sent again: the task fails for good and says what to check.
    """

    hook_class: ClassVar[type[ServiceHook]]

    @cached_property
    def hook(self) -> ServiceHook:
        """The hook that sends."""
        return self.hook_class(getattr(self, self.hook_class.conn_name_attr))

    def send(self, call: Call[T], check: str = "") -> T:
        """
        Send a call.

        :param call: what to send.
        :param check: what a person must check if it is not known whether the service acted on the call.
        :raises AirflowFailException: if running the task again cannot help, or could pay twice.
        :raises AirflowException: if it can.
        """
        try:
            return self.hook.request(call)
        except ApiError as e:
            if e.maybe_processed and not call.endpoint.idempotent:
                raise AirflowFailException(
                    f"{e} It is not known whether the service acted on the request, so it is not sent again: {check}"
                ) from None
            raise (AirflowException if e.transient else AirflowFailException)(str(e)) from None
        finally:
            self.hook.close()

    def hand_on(self, context: Context, ids: dict[str, Any]) -> dict[str, Any]:
        """Push ids as XComs of their own, and return them."""
        if self.do_xcom_push:
            for name, value in ids.items():
                context["ti"].xcom_push(key=name, value=value)
        return ids
