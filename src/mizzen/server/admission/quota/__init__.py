"""ResourceQuota: what objects use (`usage.py`), which quotas they fall under (`scopes.py`), and the plugin."""
