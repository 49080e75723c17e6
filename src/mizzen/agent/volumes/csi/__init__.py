"""Volumes of storage drivers that speak the Container Storage Interface: the node's side."""
