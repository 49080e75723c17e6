"""Components put together: certificates, first objects, processes, networks. Start reading at `lifecycle`."""
