"""The objects that a cluster creates by itself: `objects.py` lists them, `reconcile.py` puts them in place."""
