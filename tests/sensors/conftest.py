"""Fixtures of the sensor tests."""

from __future__ import annotations

from .support import hurry, logs, make_service, quick_looks, quick_retries, service, services

__all__ = ["hurry", "logs", "make_service", "quick_looks", "quick_retries", "service", "services"]
