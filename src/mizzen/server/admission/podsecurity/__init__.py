"""Pod Security Admission: the standards (`baseline.py`, `restricted.py`) and the plugin that enforces them."""
