"""The pod spec: what it leaves open, what is wrong with it, and what may change; for pods and for templates of pods."""
