"""The processors of a node that containers have for themselves: the CPU manager's static policy."""
