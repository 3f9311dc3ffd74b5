"""
How fast one process may ask a service through one connection.

Pure: no clock, no sleeping. All waits of a triggerer share one :class:`Pace` per connection: the budget of
``max_requests_per_second`` holds over all of them, and a 429 slows all of them down together.
"""

from __future__ import annotations

from dataclasses import dataclass

#: After a 429 the requests are at least so many seconds apart ...
FIRST_GAP = 0.02
#: ... twice as many after each further one, up to this.
LONGEST_GAP = 2.0
#: Each request that is answered makes the gap shorter by this factor.
RECOVERY = 0.97
#: After a 429 that does not say when to come back everybody pauses for so many seconds.
PAUSE = 1.0
#: Nobody pauses for others longer than so many seconds, whatever one answer says.
LONGEST_PAUSE = 600.0


@dataclass(slots=True)
class Pace:
    """
    Spaces requests.

    :param per_second: the most requests per second; ``None`` = no limit.
    """

    per_second: float | None = None
    _gap: float = 0.0
    _next: float = 0.0

    def reserve(self, now: float) -> float:
        """
        Take the next free moment for a request.

        :param now: the time in seconds, of any clock that does not go back.
        :return: seconds to wait until then.
        """
        gap = max(self._gap, 1 / self.per_second if self.per_second else 0.0)
        if not gap and self._next <= now:
            return 0.0
        at = max(self._next, now)
        self._next = at + gap
        return at - now

    def slow_down(self, now: float, retry_after: float | None) -> None:
        """
        Slow everybody down: the service has answered 429.

        :param now: the time in seconds.
        :param retry_after: how many seconds it wants to be left alone, if it says so; obeyed up to
            :data:`LONGEST_PAUSE`.
        """
        pause_until = now + (PAUSE if retry_after is None else min(retry_after, LONGEST_PAUSE))
        if pause_until > self._next:
            # One burst of refusals is one reason to slow down, however many requests were under way.
            self._gap = min(max(self._gap * 2, FIRST_GAP), LONGEST_GAP)
            self._next = pause_until

    def speed_up(self) -> None:
        """Go faster again: the service has answered."""
        if self._gap:
            self._gap = self._gap * RECOVERY if self._gap > FIRST_GAP / 2 else 0.0
