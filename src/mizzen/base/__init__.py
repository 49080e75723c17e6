"""What everything stands on: clocks, logs, metrics."""
