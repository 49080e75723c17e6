"""metrics.k8s.io: what nodes and pods use, read from every node and served without being stored."""
