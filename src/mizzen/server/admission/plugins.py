"""All admission plugins, in the order in which they run."""

from collections.abc import Sequence

from mizzen.base.clock import Clock
from mizzen.server.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from mizzen.server.admission.defaultingressclass import DefaultIngressClass
from mizzen.server.admission.defaultstorageclass import DefaultStorageClass
from mizzen.server.admission.defaulttolerationseconds import DefaultTolerationSeconds
from mizzen.server.admission.deviceadminaccess import DeviceAdminAccess
from mizzen.server.admission.limitranger import LimitRanger
from mizzen.server.admission.matching import Context
from mizzen.server.admission.namespacelifecycle import NamespaceLifecycle
from mizzen.server.admission.noderestriction import NodeRestriction
from mizzen.server.admission.persistentvolumeclaimresize import PersistentVolumeClaimResize
from mizzen.server.admission.podsecurity.plugin import PodSecurity
from mizzen.server.admission.policies.mutating import MutatingAdmissionPolicy
from mizzen.server.admission.policies.validating import ValidatingAdmissionPolicy
from mizzen.server.admission.priority import Priority
from mizzen.server.admission.quota.plugin import ResourceQuota
from mizzen.server.admission.runtimeclass import RuntimeClass
from mizzen.server.admission.serviceaccount import ServiceAccount
from mizzen.server.admission.storageobjectinuseprotection import StorageObjectInUseProtection
from mizzen.server.admission.taintnodesbycondition import TaintNodesByCondition
from mizzen.server.admission.webhooks.call import Caller
from mizzen.server.admission.webhooks.mutating import MutatingAdmissionWebhook
from mizzen.server.admission.webhooks.validating import ValidatingAdmissionWebhook
from mizzen.server.seams import AdmissionPlugin, Authorizer, Reader, Writer


def in_tree(reader: Reader, authorizer: Authorizer) -> Sequence[AdmissionPlugin]:
    """The plugins that come before policies and webhooks."""
    return (
        NamespaceLifecycle(reader),
        LimitRanger(reader),
        ServiceAccount(reader),
        NodeRestriction(reader, authorizer),
        TaintNodesByCondition(),
        PodSecurity(reader),
        Priority(reader),
        DefaultTolerationSeconds(),
        DefaultStorageClass(reader),
        StorageObjectInUseProtection(),
        PersistentVolumeClaimResize(reader),
        RuntimeClass(reader),
        DeviceAdminAccess(reader),
        CertificateApproval(authorizer),
        CertificateSigning(authorizer),
        CertificateSubjectRestriction(),
        DefaultIngressClass(reader),
    )


def complete(context: Context, writer: Writer, caller: Caller, clock: Clock) -> Sequence[AdmissionPlugin]:
    """All plugins: the built-in ones, policies and webhooks, and the quotas last."""
    built_in = in_tree(context.reader, context.authorizer)
    return (
        *built_in,
        MutatingAdmissionPolicy(context),
        MutatingAdmissionWebhook(context, caller, built_in),
        ValidatingAdmissionPolicy(context),
        ValidatingAdmissionWebhook(context, caller),
        ResourceQuota(context.reader, writer, clock),
    )
