"""What the log says while a job runs: changes of its status, its progress and its estimated end."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from airflow_provider_nugen.api.job import RUNNING, JobStatus
from airflow_provider_nugen.api.safe import safe_text
from airflow_provider_nugen.waiting.result import LogMessage
from airflow_provider_nugen.waiting.schedule import estimate
from airflow_provider_nugen.waiting.state import WaitState

#: An estimate is worth a log line when it moves by more than this share of what remains, or a minute.
ETA_MOVED = 0.1
#: The most characters that are kept of a status word, or of progress as text.
MAX_WORD = 200


def changes(
    subject: str, status: JobStatus, state: WaitState, now: float, *, words_only: bool = False
) -> list[LogMessage]:
    """
    Build log lines about what changed since the last poll, and keep what they say in the state.

    :param subject: the job, as messages name it.
    :param status: what the service says about it.
    :param state: what was known before; has the new status word, progress and estimate afterwards.
    :param now: the time in epoch seconds.
    :param words_only: the job is one of many: only a status word that replaces another one is worth a line.
    """
    messages = []
    word, before = safe_text(status.status, MAX_WORD), state.status
    state.seen, state.status = True, word
    if word != before and not status.is_known_status:
        messages.append(
            LogMessage(logging.WARNING, f"{subject}: unknown status {word!r}; waiting on as if the job ran.")
        )
    if words_only:
        if before and before != word:
            messages.append(LogMessage(logging.INFO, f"{subject}: {word} (was {before})"))
        return messages
    progress = safe_text(status.progress, MAX_WORD) if isinstance(status.progress, str) else status.progress
    left = estimate(status, now)
    eta = None if left is None else now + left
    moved = (eta is None) != (state.eta is None) or (
        eta is not None and state.eta is not None and abs(eta - state.eta) > max(60.0, ETA_MOVED * abs(state.eta - now))
    )
    if word == before and progress == state.progress and not moved:
        return messages
    state.progress, state.eta = progress, eta
    text = f"{subject}: {word}"
    if before and before != word:
        text += f" (was {before})"
    if progress is not None:
        text += f", progress {progress}" + ("" if isinstance(progress, str) else " %")
    if eta is not None and status.state is RUNNING:
        text += f", expected to end {timestamp(eta)}"
    messages.append(LogMessage(logging.INFO, text))
    return messages


def timestamp(when: float) -> str:
    """
    Return a time as people read it.

    :param when: the time in epoch seconds.
    """
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")


def duration(seconds: float) -> str:
    """
    Return a length of time as people read it: ``1 h 30 min``.

    :param seconds: how long it is.
    """
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    return " ".join(f"{n} {unit}" for n, unit in ((days, "d"), (hours, "h"), (minutes, "min")) if n)
