"""The API server. Start reading at `pipeline`, then `registry`."""
