"""Fixtures of the sensor tests."""

from __future__ import annotations

from .support import hurry, logs, make_service, no_scheduler, quick_polls, quick_retries, service, services

__all__ = ["hurry", "logs", "make_service", "no_scheduler", "quick_polls", "quick_retries", "service", "services"]
