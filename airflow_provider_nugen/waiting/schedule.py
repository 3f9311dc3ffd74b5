"""How long to sleep between two polls."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_nugen.api.job import JobStatus

#: However long the service says that a job takes, it is looked at again after so many intervals.
MAX_ETA_INTERVALS = 10
#: The look after an expected end comes up to this share of an interval after it.
JITTER = 0.3
#: An estimate of more than so many seconds, ten years, is none.
MAX_ETA = 10 * 365 * 86400.0


def estimate(reading: JobStatus, now: float) -> float | None:
    """
    Say how many seconds the service expects the job to go on.

    An estimate that is negative, not finite or absurd is none.
    """
    if reading.eta_seconds is not None:
        seconds = reading.eta_seconds
    elif reading.eta is not None:
        seconds = reading.eta.timestamp() - now
    else:
        return None
    return seconds if 0 <= seconds < MAX_ETA else None


def eta_interval(interval: float, seconds: float | None, rand: Callable[[], float]) -> float:
    """
    Say how long to sleep when the service expects the job to go on for a while.

    Until just after the expected end, but never longer than :data:`MAX_ETA_INTERVALS` intervals, should the service be
    wrong, and never shorter than one. Spread over a part of an interval, so that waits that began together, or expect
    the same end, do not look together.

    :param interval: seconds between two looks otherwise.
    :param seconds: how long the job is expected to go on.
    :param rand: gives random numbers from 0 to 1.
    """
    if seconds is None or seconds <= interval:
        return interval
    return min(seconds + interval * JITTER * rand(), interval * (MAX_ETA_INTERVALS - rand()))
