"""How containers are run: one seam (`base.Runtime`), three implementations."""
