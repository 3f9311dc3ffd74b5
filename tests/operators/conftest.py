"""Fixtures of the operator tests."""

from __future__ import annotations

from sensors.support import logs, no_scheduler, quick_polls

from .support import make_service, service, services, unhurried

__all__ = ["logs", "make_service", "no_scheduler", "quick_polls", "service", "services", "unhurried"]
