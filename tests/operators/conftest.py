"""Fixtures of the operator tests."""

from __future__ import annotations

from sensors.support import logs

from .support import make_service, service, services, unhurried

__all__ = ["logs", "make_service", "service", "services", "unhurried"]
