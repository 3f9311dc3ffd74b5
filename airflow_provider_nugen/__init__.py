"""Apache Airflow provider for model alignment on Nugen and SeekrFlow."""

__version__ = "1.0.0"
