"""What the response models of both services have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value


#: ISO 8601 with ``Z``, or ``2026-03-05 05:16:01.986524`` without a zone, which means UTC (see the Nugen page of
#: the documentation).
Timestamp = Annotated[datetime, AfterValidator(_utc)]
#: A number, or text such as ``"5/10 questions"``.
Progress = int | float | str


def _fail_fast(schema: Any) -> None:
    """Make every list in a schema end at its first wrong item: an error for each of 300,000 takes seconds."""
    if isinstance(schema, dict):
        if schema.get("type") == "list":
            schema["fail_fast"] = True
        for part in schema.values():
            _fail_fast(part)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            _fail_fast(part)


class ServiceModel(BaseModel):
    """
    A response, read leniently: only what is ``required`` can make it unreadable.

    A field that contradicts its contract is read as null, so that it cannot end a wait that does not need it.
    Unknown fields are ignored; a number where text belongs is taken as text.
    """

    model_config = ConfigDict(
        extra="ignore",
        populate_by_name=True,
        coerce_numbers_to_str=True,
        allow_inf_nan=False,
        protected_namespaces=(),
    )
    #: What an answer is called in errors.
    what: ClassVar[str] = "answer"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        _fail_fast(schema)
        return schema

    @classmethod
    def flatten(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Turn an enveloped answer into one flat object; for models whose service has envelopes."""
        return payload

    @classmethod
    def read(cls, payload: object) -> Self:
        """
        Read a parsed JSON body.

        :raises ValueError: if it is not an object, or a required field is missing or of the wrong type.
        """
        if not isinstance(payload, Mapping):
            raise ValueError(f"expected an object, not {type(payload).__name__}")
        # A null says nothing: another name of the same field may say more.
        flat = {name: value for name, value in cls.flatten(dict(payload)).items() if value is not None}
        while True:
            try:
                return cls.model_validate(flat)
            except ValidationError as e:
                problems = e.errors(include_url=False, include_input=False)
            wrong = {problem["loc"][0] for problem in problems} & flat.keys()
            if not wrong:
                raise ValueError(f"field {problems[0]['loc'][0]!r}: {problems[0]['msg']}") from None
            flat = {name: value for name, value in flat.items() if name not in wrong}
