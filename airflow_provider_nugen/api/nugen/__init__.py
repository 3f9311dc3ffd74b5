"""Nugen: the service, its endpoints, models and kinds of job."""
