"""Faults on demand: what goes wrong, with which requests, how often."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field


class Fault(BaseModel):
    """
    Something that goes wrong with requests.

    Which requests: those that match all of ``service``, ``operation``, ``method``, ``path`` and ``job_id`` that are
    given; of these all but the first ``skip``, of the rest every ``every``-th, ``times`` times (for ever if null).
    """

    model_config = ConfigDict(extra="forbid")

    action: Annotated[
        Literal["status", "delay", "drop", "truncate", "malformed", "html", "oversized"],
        Field(
            description="status: answer `status`; delay: answer after `seconds`; drop: reset the connection; truncate: "
            "send half of the answer, then close; malformed: send JSON that ends too early; html: send a web page with "
            "status 200; oversized: send 17 MiB"
        ),
    ]
    status: Annotated[int, Field(description="for action=status", ge=100, le=599)] = 503
    retry_after: Annotated[str | None, Field(description="for action=status: a Retry-After header")] = None
    seconds: Annotated[float, Field(description="for action=delay", ge=0)] = 0.0
    processed: Annotated[
        bool, Field(description="for action=status and drop: let the service act on the request first")
    ] = False
    service: Literal["nugen", "seekr"] | None = None
    operation: Annotated[str | None, Field(description="the name of a route, e.g. create_alignment")] = None
    method: str | None = None
    path: Annotated[re.Pattern[str] | None, Field(description="a regular expression, searched in the path as sent")] = (
        None
    )
    job_id: Annotated[str | None, Field(description="an id that is a segment of the path")] = None
    times: Annotated[int | None, Field(ge=1)] = None
    skip: Annotated[int, Field(ge=0)] = 0
    every: Annotated[int, Field(ge=1)] = 1
    seen: Annotated[int, Field(description="requests that matched so far")] = 0
    struck: Annotated[int, Field(description="requests that it happened to so far")] = 0

    def matches(self, service: str, operation: str, method: str, path: str) -> bool:
        """Return whether it happens to this request, and count it."""
        if self.times is not None and self.struck >= self.times:
            return False
        if not (
            self.service in (None, service)
            and self.operation in (None, operation)
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or self.path.search(path))
            and (self.job_id is None or self.job_id in map(unquote, path.split("/")))
        ):
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.seen - self.skip) % self.every:
            return False
        self.struck += 1
        return True
