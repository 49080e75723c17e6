"""Persistent volumes: binding claims, reclaiming, protecting, provisioning on nodes' own disks, attaching."""
