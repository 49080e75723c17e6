"""Every controller, in one tuple: `controllers(config)` answers those that run."""

from collections.abc import Callable

from mizzen.controllers import (
    accounts,
    autoscaler,
    bootstrap_tokens,
    budgets,
    certificates,
    cronjob,
    daemonset,
    deployment,
    device_taints,
    endpoints,
    endpointslices,
    garbage,
    job,
    legacy_tokens,
    loadbalancers,
    namespaces,
    node_evictions,
    node_ranges,
    nodes,
    podgc,
    quotas,
    replicas,
    resource_claims,
    roles,
    service_ranges,
    statefulset,
    storage_migration,
    taint_eviction,
    trust_bundles,
)
from mizzen.controllers.config import Config
from mizzen.controllers.volumes import attach, binder, localpath, protection
from mizzen.reconcile.controller import Controller

CONTROLLERS: tuple[Controller | Callable[[Config], Controller | None], ...] = (
    # workloads
    replicas.REPLICA_SET,
    replicas.REPLICATION_CONTROLLER,
    deployment.CONTROLLER,
    statefulset.CONTROLLER,
    daemonset.CONTROLLER,
    job.CONTROLLER,
    job.ORPHANS,
    job.TTL,
    cronjob.CONTROLLER,
    budgets.CONTROLLER,
    autoscaler.CONTROLLER,
    # services
    endpointslices.CONTROLLER,
    endpoints.CONTROLLER,
    endpoints.MIRROR,
    loadbalancers.controller,
    service_ranges.CONTROLLER,
    # nodes
    nodes.lifecycle,
    node_evictions.CONTROLLER,
    node_ranges.ranges,
    node_ranges.NODE_TTL,
    taint_eviction.CONTROLLER,
    podgc.controller,
    # storage
    binder.CLAIMS,
    binder.VOLUMES,
    localpath.provisioner,
    localpath.RECLAIMER,
    protection.CLAIMS,
    protection.VOLUMES,
    protection.ATTRIBUTES,
    protection.EPHEMERAL,
    attach.CONTROLLER,
    attach.ATTACHED,
    resource_claims.CONTROLLER,
    resource_claims.RESERVATIONS,
    device_taints.EVICTION,
    device_taints.RULES,
    # the cluster itself
    garbage.CONTROLLER,
    namespaces.CONTROLLER,
    accounts.SERVICE_ACCOUNT,
    accounts.root_ca,
    trust_bundles.publisher,
    legacy_tokens.CONTROLLER,
    roles.CONTROLLER,
    quotas.CONTROLLER,
    bootstrap_tokens.SIGNER,
    bootstrap_tokens.CLEANER,
    storage_migration.CONTROLLER,
    certificates.APPROVING,
    certificates.signing,
    certificates.CLEANING,
)
"""Values, or functions of the settings that answer one (None: not with these settings)."""


def controllers(config: Config) -> tuple[Controller, ...]:
    """The controllers that run with these settings."""
    made = (one if isinstance(one, Controller) else one(config) for one in CONTROLLERS)
    return tuple(one for one in made if one is not None)
