"""Kubernetes' protobuf: bytes of the wire to JSON objects and back, by tables packed at build time.

`envelope` is the way in: whole objects with their kind. `reader` and `writer` turn messages without it.
Ref: https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
"""
