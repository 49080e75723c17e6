"""The sockets: HTTP server and client with TLS and upgrades; and the kernel's packet filter."""
