"""What is admissible: one plugin a file, in the order that `plugins.py` gives."""
