"""What sensors and operators make of their arguments: ids, flags, connections, lengths of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_nugen.exceptions import InvalidArgumentError, final

if TYPE_CHECKING:
    from airflow.sdk import XComArg

    #: An id or text as a DAG passes it: text, a template, or what another task returned.
    TextArg: TypeAlias = str | XComArg
    #: The same for several of them.
    ListArg: TypeAlias = Sequence[TextArg] | TextArg
    #: An id, or a list of ids; in the place of an id there can be a dict that holds it, see :func:`job_ids`.
    JobIds: TypeAlias = TextArg | Mapping[str, Any] | Sequence[TextArg | Mapping[str, Any]]


def job_ids(value: object, argument: str) -> list[str] | str:
    """
    Return the id or the ids that an argument holds, as it comes out of templates and XComs.

    :param value: an id, or a list of ids. In the place of an id there can be a dict that holds it under the argument's
        name (or ``task_id``, where the service names a document only after it was processed), as operators return it.
    :param argument: the argument's name, for errors and for dicts.
    :return: a list of ids for a list, an id for an id.
    :raises InvalidArgumentError: if it is something else; final, since a retry cannot help.
    """
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_job_id(item, argument, f"item {index} of {argument}") for index, item in enumerate(value)]
    return _job_id(value, argument, argument)


def missing_xcom(argument: str) -> str:
    """
    Return what is wrong with the text that a template makes of an XCom that is not there.

    :param argument: the argument's name.
    """
    return f"{argument} is the text 'None': the template renders an XCom that the upstream task has not pushed."


def _job_id(value: object, argument: str, where: str) -> str:
    if isinstance(value, Mapping):
        held = value.get(argument) or value.get("task_id")
        if not isinstance(held, str):
            raise final(InvalidArgumentError)(f"{where} is a dict that has no {argument}: {value!r:.200}.")
        value = held
    if value is None:
        raise final(InvalidArgumentError)(f"{where} is None: check that the upstream task pushed this XCom.")
    if not isinstance(value, str):
        raise final(InvalidArgumentError)(
            f"{where} is not text, but {type(value).__name__} ({value!r:.200}). An id is text; if a template makes a "
            "number of it, which loses leading zeros, put quotes around it."
        )
    if not value.strip():
        raise final(InvalidArgumentError)(
            f"{where} is {value!r}, so there is nothing to ask for. Pass {argument}; if it comes from an XCom, check "
            "that the upstream task pushed it."
        )
    if value == "None":
        raise final(InvalidArgumentError)(missing_xcom(where))
    if value.lstrip().startswith(("[", "(", "{")):
        raise final(InvalidArgumentError)(
            f"{where} is text that looks like a list or a dict: {value!r:.200}. Set render_template_as_native_obj=True "
            "on the DAG, so that templates keep the type of what they render, or pass the XCom itself (task.output)."
        )
    return value


def check_flags(**flags: object) -> None:
    """
    Check that arguments are true or false; text such as ``"no"`` would count as true.

    :param flags: the arguments.
    :raises InvalidArgumentError: if one is neither; final.
    """
    for argument, value in flags.items():
        if not isinstance(value, bool):
            raise final(InvalidArgumentError)(f"{argument} is {value!r}; it must be True or False.")


def check_conn_id(value: object, argument: str) -> None:
    """
    Check that an argument can name a connection.

    :param value: text; what a template or an XCom brings is not known yet.
    :param argument: the argument's name, for errors.
    :raises InvalidArgumentError: if it cannot; final.
    """
    if isinstance(value, (int, float, Sequence, Mapping, type(None))) and not (
        isinstance(value, str) and value.strip()
    ):
        raise final(InvalidArgumentError)(f"{argument} is {value!r}; it must be the id of an Airflow connection.")


def seconds(value: timedelta | float | str, argument: str) -> float:
    """
    Return a length of time as it comes out of arguments and templates, in seconds.

    :param value: seconds, also as text, or a timedelta.
    :param argument: the argument's name, for errors.
    :raises InvalidArgumentError: if it is not a length of time; final, since a retry cannot help.
    """
    try:
        # True is a number to Python, and a mistake to whoever reads the DAG.
        number = value.total_seconds() if isinstance(value, timedelta) else float("" if value is True else value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise final(InvalidArgumentError)(f"{argument} is {value!r}; it must be a number of seconds, or a timedelta.")
    return number
