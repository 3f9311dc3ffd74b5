"""What all operators have in common: sending one call, how its failure ends the task, and checking arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from airflow_provider_nugen.api.endpoint import Call
from airflow_provider_nugen.api.errors import (
    ApiError,
    NotReadyError,
    ResponseError,
    WrongRouteError,
    retry_after_seconds,
)
from airflow_provider_nugen.arguments import missing_xcom
from airflow_provider_nugen.exceptions import (
    InvalidArgumentError,
    ProviderError,
    RequestRejectedError,
    ServiceUnreachableError,
    final,
)
from airflow_provider_nugen.exceptions import NotReadyError as TaskNotReadyError
from airflow_provider_nugen.outlets import fill_outlet_events
from airflow_provider_nugen.tasks import ServiceTask

if TYPE_CHECKING:
    from airflow.sdk import Context

T = TypeVar("T")


class ServiceOperator(ServiceTask):
    """
    Calls a service; the base of all operators of this provider.

    A call that provably was not processed (connection refused, 429, 503 with ``Retry-After``), and a call that can be
    repeated without harm, is sent again a few times, then fails the task so that a retry may continue. A call that the
    service refuses fails it for good.
    """

    def send(self, call: Call[T]) -> T:
        """
        Send a call.

        :raises RequestRejectedError: if running the task again cannot help.
        :raises ServiceUnreachableError: if it can.
        """
        try:
            with self.session() as hook:
                return hook.request(call)
        except ApiError as e:
            raise self.failed(e) from None

    def failed(self, error: ApiError) -> ProviderError:
        """Build the exception that ends the task: retryable if the same call can succeed later."""
        cls: type[ProviderError] = final(RequestRejectedError)
        if isinstance(error, NotReadyError):
            cls = TaskNotReadyError
        elif error.transient:
            cls = ServiceUnreachableError
        elif isinstance(error, WrongRouteError) and error.may_pass:
            # Nothing was processed, and a gateway answers so, too, while the service behind it is moved.
            cls = RequestRejectedError
        return cls(
            str(error),
            service=self.hook_class.service.name,
            conn_id=self.conn_id,
            status=error.status if isinstance(error, ResponseError) else None,
            retry_after=retry_after_seconds(error.retry_after, 0.0) if (error.retry_after or "").isdigit() else None,
        )

    def push_xcoms(self, context: Context, ids: dict[str, Any]) -> dict[str, Any]:
        """Push ids as XComs of their own where they are not null, tell the outlets, and return them."""
        if self.do_xcom_push:
            for name, value in ids.items():
                if value is not None:
                    context["ti"].xcom_push(key=name, value=value)
        facts = {name: value for name, value in ids.items() if name.endswith(("_id", "_ids")) and value is not None}
        if facts:
            fill_outlet_events(self, context, lambda: [facts])
        return ids


# What templates and XComs make of arguments.


def invalid(message: str) -> ProviderError:
    """Build the error for an argument that no retry can mend."""
    return final(InvalidArgumentError)(message)


@overload
def text(value: object, argument: str, *, number: bool = ...) -> str: ...
@overload
def text(value: object, argument: str, *, optional: Literal[True], number: bool = ...) -> str | None: ...
def text(value: object, argument: str, *, optional: bool = False, number: bool = False) -> str | None:
    """
    Read a text argument as it comes out of templates and XComs.

    :param value: text.
    :param argument: the operator's argument, for errors.
    :param optional: ``None`` is allowed.
    :param number: so is a number, which a template with native types makes of ``{{ ds_nodash }}``; it becomes text. Not
        for ids, which would lose leading zeros.
    :raises InvalidArgumentError: if it is something else, or blank.
    """
    if value is None and optional:
        return None
    if value is None:
        raise invalid(f"{argument} is None: check that the upstream task pushed this XCom.")
    if number and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise invalid(
            f"{argument} is not text, but {type(value).__name__} ({value!r:.200}). If a template with native types "
            "makes this of it, put quotes around it."
        )
    if not value.strip():
        raise invalid(f"{argument} is {value!r}: pass text that is not blank" + (", or None." if optional else "."))
    return value


@overload
def one_id(value: object, argument: str) -> str: ...
@overload
def one_id(value: object, argument: str, *, optional: Literal[True]) -> str | None: ...
def one_id(value: object, argument: str, *, optional: bool = False) -> str | None:
    """
    Read an id as it comes out of templates and XComs; parameters as of :func:`text`.

    :raises InvalidArgumentError: if it is something else, blank, or a list that a template has turned into text.
    """
    if value == "None":
        raise invalid(missing_xcom(argument))
    if isinstance(value, str) and value.lstrip().startswith(("[", "(", "{")):
        raise invalid(f"{argument} is text that looks like a list or a dict: {value!r:.200}. Pass one id.")
    if isinstance(value, (Mapping, list, tuple)):
        raise invalid(
            f"{argument} is a {type(value).__name__}, not one id: {value!r:.200}. Pass one value of it, for example "
            f"task.output[{argument!r}]."
        )
    return text(value, argument, optional=True) if optional else text(value, argument)


def id_list(value: object, argument: str, *, optional: bool = False) -> list[str]:
    """
    Read ids as they come out of templates and XComs.

    :param value: several ids, or one.
    :param argument: the operator's argument, for errors.
    :param optional: an empty list is allowed.
    :raises InvalidArgumentError: if there are none, one of them is not an id, or a template has turned the list into
        text.
    """
    if value is None:
        raise invalid(f"{argument} is None: check that the upstream task pushed this XCom.")
    if value == "None":
        raise invalid(missing_xcom(argument))
    if isinstance(value, str):
        if value.lstrip().startswith(("[", "(", "{")):
            raise invalid(
                f"{argument} is text, not a list: {value!r}. Set render_template_as_native_obj=True on the DAG, so "
                "that templates keep the type of what they render."
            )
        return [text(value, argument)]
    # What Airflow passes lazily, the results of a mapped task, is a sequence, too.
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise invalid(f"{argument} is {value!r}; it must be a list of ids.")
    ids = [text(item, f"{argument}[{index}]") for index, item in enumerate(value)]
    if not ids and not optional:
        raise invalid(f"{argument} is empty: pass at least one id.")
    return ids
