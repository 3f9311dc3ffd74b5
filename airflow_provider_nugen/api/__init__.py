"""What the two services say: endpoints, models, kinds of job. No Airflow, no I/O, no clock."""
