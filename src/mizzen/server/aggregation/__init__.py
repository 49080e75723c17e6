"""Aggregation: versions of groups that other servers behind a Service answer."""
