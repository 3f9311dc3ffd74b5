"""Connections, and the HTTP clients of both services."""
