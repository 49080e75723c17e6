"""Where objects are kept: one protocol (`base`), in memory and in SQLite."""
