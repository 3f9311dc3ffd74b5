"""
Real Airflows, servers and processes, for the demo, the survival suite, the benchmarks and the tests.

Nothing of this is installed with the provider.
"""
