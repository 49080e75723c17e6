"""A pod's volumes: made before its sandbox, kept current while it runs, taken down after it."""
