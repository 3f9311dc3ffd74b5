"""Numbers and flags as they come out of arguments, templates and XComs."""

from __future__ import annotations

import math

from airflow_provider_nugen.operators.base import invalid


def whole_number(value: object, argument: str, least: int = 1, most: int | None = None) -> int:
    """
    Return a whole number.

    :param value: the number, also as text.
    :param argument: the operator's argument, for errors.
    :param least: the least that is allowed.
    :param most: the most that is allowed, if there is a limit.
    :raises InvalidArgumentError: if it is not a whole number, or outside of these; final.
    """
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        allowed = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise invalid(f"{argument} is {value!r}; it must be a whole number {allowed}.")
    return number


def number(value: object, argument: str) -> float:
    """
    Return a number.

    :param value: the number, also as text.
    :param argument: the operator's argument, for errors.
    :raises InvalidArgumentError: if it is not a number that can be sent; final.
    """
    try:
        result = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else math.nan
    except ValueError:
        result = math.nan
    if not math.isfinite(result):
        raise invalid(f"{argument} is {value!r}; it must be a number.")
    return result


def flag(value: object, argument: str) -> bool:
    """
    Return a flag.

    :param value: a bool, or ``true`` or ``false`` as text.
    :param argument: the operator's argument, for errors.
    :raises InvalidArgumentError: if it is neither; final.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise invalid(f"{argument} is {value!r}; it must be true or false.")
