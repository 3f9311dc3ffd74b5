"""What the routes of both services need of HTTP: raw ids, times, bodies checked field by field."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator

from airflow_provider_nugen.simulator.state import SimulatorState

#: An id in a path. Routes see paths as they were sent, so that ``%2F`` in an id does not end it; this is the one place
#: where the id is unquoted.
Id = Annotated[str, AfterValidator(unquote)]


#: Fields, and the type or types of their values.
Kinds = Mapping[str, type | tuple[type, ...]]


def world_of(request: Request) -> SimulatorState:
    """Return what the simulator knows."""
    world: SimulatorState = request.app.state.world
    return world


def timestamp(seconds: float | None, plain: bool = False, skew: float = 0.0) -> str | None:
    """
    Write a time as the services do: ISO 8601 with ``Z``, or plain without a zone.

    :param seconds: the time, in epoch seconds.
    :param plain: whether the zone is left out.
    :param skew: how many seconds the clock that is read is ahead.
    """
    if seconds is None:
        return None
    time = datetime.fromtimestamp(seconds + skew, UTC)
    if plain:
        return time.strftime("%Y-%m-%d %H:%M:%S.%f")
    return time.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def whole(seconds: float | None) -> int | None:
    """Round a time that something still takes up to whole seconds, as the services state it."""
    return None if seconds is None else math.ceil(seconds)


async def json_object(request: Request) -> dict[str, Any]:
    """Read a JSON object from a request."""
    try:
        body = await request.json()
    except ValueError:
        raise invalid((("body",), "JSON decode error", "json_invalid")) from None
    if not isinstance(body, dict):
        raise invalid((("body",), "Input should be a valid dictionary", "dict_type"))
    return body


def check(body: dict[str, Any], required: Kinds, optional: Kinds | None = None) -> None:
    """
    Check the fields of a body.

    :raises RequestValidationError: naming each field that is missing or of the wrong type, as FastAPI does.
    """
    problems: list[tuple[Iterable[str], str, str]] = []
    for name, kind in {**required, **(optional or {})}.items():
        value = body.get(name)
        if value is None:
            if name in required:
                problems.append((("body", name), "Field required", "missing"))
        elif not isinstance(value, kind):
            names = [one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,))]
            problems.append((("body", name), f"Input should be a valid {' or '.join(names)}", f"{names[0]}_type"))
        elif name in required and isinstance(value, str) and not value.strip():
            problems.append((("body", name), "String should not be blank", "string_too_short"))
        elif kind is list and isinstance(value, list):
            # All lists are lists of ids.
            strange = (str(index) for index, item in enumerate(value) if not isinstance(item, str))
            problems += [(("body", name, index), "Input should be a valid str", "str_type") for index in strange]
    if problems:
        raise invalid(*problems)


def invalid(*problems: tuple[Iterable[str], str, str]) -> RequestValidationError:
    """Make a 422 in FastAPI's shape of (location, message, type)."""
    return RequestValidationError([{"loc": tuple(loc), "msg": msg, "type": kind} for loc, msg, kind in problems])
