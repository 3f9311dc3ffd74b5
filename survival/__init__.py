"""Two hundred waits on a real Airflow with PostgreSQL, while everything around them breaks."""
