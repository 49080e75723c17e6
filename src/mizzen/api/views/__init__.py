"""Partial, frozen, typed views of API objects: only the fields that components use."""
