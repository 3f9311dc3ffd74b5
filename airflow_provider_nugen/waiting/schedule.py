"""How long to sleep between two polls."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_nugen.api.job import JobStatus, progress_bounds
from airflow_provider_nugen.waiting.state import WaitSettings, WaitState

#: No wait polls more often than this, in seconds, whatever its ``poke_interval``.
MIN_INTERVAL = 0.1
#: After a failed poll the next one comes after this many seconds (or ``poke_interval``, if that is shorter) ...
FIRST_RETRY = 5.0
#: ... then after twice as many, and so on, up to this many (or ``poke_interval``, if that is longer).
MAX_RETRY_INTERVAL = 60.0
#: However long the service says that a job takes, it is polled again after this many intervals.
MAX_ETA_INTERVALS = 10
#: The poll after an expected end comes up to this share of an interval after it.
JITTER = 0.3
#: An estimate of more seconds than these, ten years, is not believed.
MAX_ETA = 10 * 365 * 86400.0


def estimate(status: JobStatus, now: float) -> float | None:
    """
    Return how many seconds the service expects the job to run on.

    An estimate that is negative, not finite or absurd is none.

    :param status: what the service says about the job.
    :param now: the time in epoch seconds.
    """
    if status.eta_seconds is not None:
        seconds = status.eta_seconds
    elif status.eta is not None:
        seconds = status.eta.timestamp() - now
    else:
        return None
    return seconds if 0 <= seconds < MAX_ETA else None


def remaining(status: JobStatus, state: WaitState, now: float) -> float | None:
    """
    Return how many seconds the job will run on: the service's estimate, else by the progress that was seen.

    :param status: what the service says about the job.
    :param state: keeps when progress was first seen.
    :param now: the time in epoch seconds.
    """
    if status.eta_seconds is not None or status.eta is not None:
        return estimate(status, now)
    bounds = progress_bounds(status.progress)
    if bounds is None:
        return None
    least, most = bounds
    if state.progress_began is None or state.first_progress is None:
        state.progress_began, state.first_progress = now, least
    since, then = state.progress_began, state.first_progress
    if least <= then or now <= since:
        return None
    # Rather too early than too late.
    return (now - since) * (1 - most) / (most - then)


def eta_interval(interval: float, seconds: float | None, rand: Callable[[], float]) -> float:
    """
    Return how long to sleep when the service expects the job to run on for a while.

    Until just after the expected end, but never longer than :data:`MAX_ETA_INTERVALS` intervals, should the service be
    wrong, and never shorter than one. Spread over a part of an interval, so that waits that began together, or expect
    the same end, do not poll together.

    :param interval: seconds between two polls otherwise.
    :param seconds: how long the job is expected to run on.
    :param rand: gives random numbers from 0 to 1.
    """
    if seconds is None or seconds <= interval:
        return interval
    return min(seconds + interval * JITTER * rand(), interval * (MAX_ETA_INTERVALS - rand()))


def poll_interval(settings: WaitSettings, waited: float, rand: Callable[[], float]) -> float:
    """
    Return how long to sleep between two polls of a running job.

    :param settings: what the user asked for.
    :param waited: how many seconds the wait has lasted.
    :param rand: gives random numbers from 0 to 1.
    """
    if not settings.exponential_backoff:
        return settings.poke_interval
    # Airflow's poke loop waits poke_interval * 2 ** (n - 2) seconds after poke n, plus up to as much again as
    # jitter. In terms of the time waited that is the line below: no count to keep, whatever the mode.
    interval = max((max(waited, 0.0) + 0.75 * settings.poke_interval) / 1.5, 1.0) * (1 + rand())
    return interval if settings.max_wait is None else min(interval, settings.max_wait)


def retry_interval(interval: float, failures: int, retry_after: float | None, rand: Callable[[], float]) -> float:
    """
    Return how long to sleep after a failed poll.

    :param interval: the ``poke_interval``.
    :param failures: failed polls in a row.
    :param retry_after: seconds after which the service wants to be asked again.
    :param rand: gives random numbers from 0 to 1.
    """
    first = min(interval, FIRST_RETRY)
    if retry_after is not None:
        # Never earlier than asked, and not all waits at the same moment.
        return max(retry_after, min(first, 1.0)) + rand() * min(first, 1 + retry_after / 10)
    longest = max(interval, MAX_RETRY_INTERVAL)
    return float(min(first * 2 ** min(failures - 1, 30), longest)) * (0.75 + 0.25 * rand())
