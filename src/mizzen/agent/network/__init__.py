"""How pods and nodes are wired: namespaces, links, addresses and routes."""
