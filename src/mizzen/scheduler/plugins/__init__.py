"""The scheduler's plugins, in the order in which they are asked.

Ref: https://kubernetes.io/docs/reference/scheduling/config/#scheduling-plugins
"""

from collections.abc import Callable, Mapping
from typing import Any

from mizzen.scheduler.framework import Plugin
from mizzen.scheduler.plugins import (
    balanced,
    fit,
    image_locality,
    inter_pod_affinity,
    node_affinity,
    node_name,
    node_ports,
    resource_claims,
    scheduling_gates,
    taints,
    topology_spread,
    unschedulable,
    volume_limits,
    volume_zone,
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
    volume_limits.PLUGIN,
    volumes.PLUGIN,
    volume_zone.PLUGIN,
    resource_claims.PLUGIN,
    topology_spread.PLUGIN,
    inter_pod_affinity.PLUGIN,
    balanced.PLUGIN,
    image_locality.PLUGIN,
)
"""What runs where no configuration says otherwise."""

CONFIGURED: Mapping[str, Callable[[Mapping[str, Any]], Plugin]] = {
    "NodeResourcesFit": lambda args: fit.plugin(fit.parse(args)),
    "NodeResourcesBalancedAllocation": lambda args: balanced.plugin(balanced.parse(args)),
    "VolumeBinding": lambda args: volumes.plugin(volumes.parse(args)),
    "PodTopologySpread": lambda args: topology_spread.plugin(topology_spread.parse(args)),
    "InterPodAffinity": lambda args: inter_pod_affinity.plugin(inter_pod_affinity.parse(args)),
    "NodeAffinity": lambda args: node_affinity.plugin(node_affinity.parse(args)),
}
"""Plugins that take arguments, made from them as a configuration file holds them. Raises ValueError."""
