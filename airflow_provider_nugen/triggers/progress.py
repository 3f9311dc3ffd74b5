"""An XCom that says how far a wait is while its task is deferred."""

from __future__ import annotations

import logging
import math
from typing import Any

from airflow_provider_nugen.api.safe import safe_json
from airflow_provider_nugen.compat import push_xcom
from airflow_provider_nugen.waiting.progress import timestamp
from airflow_provider_nugen.waiting.wait import JobWait

#: The XCom.
KEY = "progress"
#: The least seconds between two writes.
MIN_INTERVAL = 60.0

_log = logging.getLogger(__name__)


class ProgressReport:
    """
    Pushes how far a wait is, when that has changed. Never raises: the wait continues without.

    :param ti: the task instance as the triggerer knows it.
    :param wait: the wait.
    """

    def __init__(self, ti: Any, wait: JobWait[Any]) -> None:
        self._ti = ti
        self._wait = wait
        self._pushed: dict[str, Any] = {}
        self._pushed_at = -math.inf

    async def push(self, now: float) -> None:
        """
        Push it if there is something new, and the last time is a while ago.

        :param now: the time of the last poll, in epoch seconds.
        """
        if now - self._pushed_at < MIN_INTERVAL or (report := self._wait.report()) == self._pushed:
            return
        # Before the attempt: what fails is not tried again with every poll.
        self._pushed, self._pushed_at = report, now
        try:
            await push_xcom(self._ti, KEY, safe_json({**report, "polled_at": timestamp(now)}))
        except Exception:
            _log.warning("The XCom %r could not be pushed; the wait continues.", KEY, exc_info=True)
