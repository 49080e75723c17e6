"""Devices that containers get from plugins of the node: device plugins, and drivers of dynamic resources."""
