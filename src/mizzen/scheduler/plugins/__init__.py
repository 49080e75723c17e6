"""The scheduler's plugins, in the order in which they are asked.

Ref: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
"""

from mizzen.scheduler.framework import Plugin
from mizzen.scheduler.plugins import (
    balanced,
    fit,
    image_locality,
    inter_pod_affinity,
    node_affinity,
    node_name,
    node_ports,
    scheduling_gates,
    taints,
    topology_spread,
    unschedulable,
    volumes,
)

PLUGINS: tuple[Plugin, ...] = (
    scheduling_gates.PLUGIN,
    unschedulable.PLUGIN,
    node_name.PLUGIN,
    taints.PLUGIN,
    node_affinity.PLUGIN,
    node_ports.PLUGIN,
    fit.PLUGIN,
    volumes.PLUGIN,
    topology_spread.PLUGIN,
    inter_pod_affinity.PLUGIN,
    balanced.PLUGIN,
    image_locality.PLUGIN,
)
