"""
How fast one process may send requests through one connection.

Pure: no clock, no sleeping. All waits of a triggerer share one :class:`RateLimiter` per connection: the budget of
``max_requests_per_second`` holds over all of them, and a 429 slows all of them down together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: After a 429 the requests are at least this many seconds apart ...
FIRST_GAP = 0.02
#: ... twice as many after each further one, up to this.
MAX_GAP = 2.0
#: Each request that is answered makes the gap shorter by this factor.
RECOVERY = 0.97
#: After a 429 that does not say when to come back everybody pauses for this many seconds.
PAUSE = 1.0
#: Nobody pauses for others longer than this, in seconds, because of one answer: it can be about one job only ...
FIRST_THROTTLE_WAIT = 5.0
#: ... twice as long after each further 429 if nothing else was answered in between, up to this.
MAX_THROTTLE_WAIT = 600.0


@dataclass(slots=True)
class RateLimiter:
    """
    Spaces requests. Sleep for :meth:`delay` until it is 0, then call :meth:`acquire`.

    :param per_second: the most requests per second; ``None`` = no limit.
    """

    per_second: float | None = None
    _gap: float = 0.0
    _next: float = -math.inf
    _slowed_at: float = -math.inf
    #: The most seconds of the next pause; 0 while requests are answered.
    _max_wait: float = 0.0

    def delay(self, now: float) -> float:
        """
        Return how many seconds it is until the next request.

        :param now: the time in seconds, of any clock that does not go back.
        """
        return max(self._next - now, 0.0)

    def acquire(self, now: float) -> None:
        """
        Take the turn: the next request is a gap away.

        :param now: the time, as for :meth:`delay`.
        """
        gap = max(self._gap, 1 / self.per_second if self.per_second else 0.0)
        if gap:
            # Who wakes a little late does not make all others later.
            late = now - self._next
            self._next = (self._next if late < gap / 2 else now) + gap

    def slow_down(self, now: float, sent_at: float, retry_after: float | None) -> None:
        """
        Slow everybody down: the service has answered 429.

        :param now: the time in seconds.
        :param sent_at: when the refused request was sent.
        :param retry_after: seconds after which the service wants to be asked again, if it says so; obeyed up to
            :data:`FIRST_THROTTLE_WAIT`, and for longer if whoever asks next is refused, too.
        """
        if sent_at >= self._slowed_at:
            # A burst of refusals is one reason to slow down: the rest of it was under way already.
            self._gap = min(max(self._gap * 2, FIRST_GAP), MAX_GAP)
            self._max_wait = min(max(self._max_wait * 2, FIRST_THROTTLE_WAIT), MAX_THROTTLE_WAIT)
            self._slowed_at = now
        self._next = max(self._next, now + min(PAUSE if retry_after is None else retry_after, self._max_wait))

    def speed_up(self) -> None:
        """Go faster again: the service has answered."""
        self._max_wait = 0.0
        if self._gap:
            self._gap = self._gap * RECOVERY if self._gap > FIRST_GAP / 2 else 0.0
