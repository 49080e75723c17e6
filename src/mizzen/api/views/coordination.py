"""Views of coordination.k8s.io/v1."""

from mizzen.api.views.meta import ObjectMeta, View


class LeaseSpec(View, frozen=True, gc=False):
    holderIdentity: str | None = None
    leaseDurationSeconds: int | None = None
    acquireTime: str | None = None
    renewTime: str | None = None
    leaseTransitions: int | None = None


class Lease(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: LeaseSpec = LeaseSpec()
