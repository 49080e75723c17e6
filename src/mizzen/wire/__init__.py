"""Protocols as pure code, bytes to values and back: gRPC and the messages of the node, WebSocket, SPDY, DNS."""
