"""The waiting policy: pure, no I/O, no clock, no Airflow."""
