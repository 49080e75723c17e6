"""The scheduler: pods without a node in, bindings out; every decision is a pure function of a snapshot."""
