"""The node: what each pod needs next is decided purely, and done by runtime, network and volumes. See `lifecycle`."""
