"""Rules that several kinds share, one file per noun."""
