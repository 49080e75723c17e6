"""Remote commands and port forwarding as the node serves them, over WebSocket and SPDY/3.1."""
