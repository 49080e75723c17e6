"""The API as components see it: requests, informers, caches, queues, leases; over sockets or inside the process."""
