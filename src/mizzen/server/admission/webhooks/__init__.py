"""Admission webhooks: whom to ask (`configured.py`), how to reach them (`call.py`), and the two plugins."""
