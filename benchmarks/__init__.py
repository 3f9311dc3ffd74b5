"""What the provider costs, measured; see the README."""
