"""CertificateApproval, CertificateSigning, CertificateSubjectRestriction: who may approve, sign and ask for what.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#authorization
"""

import base64
import binascii
from typing import ClassVar, Final

from mizzen.machinery.errors import Object
from mizzen.server.admission.plugin import Plugin, refusal
from mizzen.server.seams import Admission, Attributes, Authorizer
from mizzen.wire import der

GROUP: Final = "certificates.k8s.io"
CLIENT_SIGNER: Final = "kubernetes.io/kube-apiserver-client"
_REQUESTS: Final = frozenset({(GROUP, "certificatesigningrequests")})


class _SignerPlugin(Plugin):
    """Asks whether the user has a verb on the signer of a request."""

    operations = frozenset({"UPDATE"})
    resources = _REQUESTS
    verb: ClassVar[str]

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def validate(self, admission: Admission) -> None:
        if admission.old is None or admission.object is None or not self._concerns(admission.object, admission.old):
            return
        signer = admission.old["spec"].get("signerName", "")
        if not self._may(admission, signer):
            why = f'user not permitted to {self.verb} requests with signerName "{signer}"'
            raise refusal(admission, why)

    def _concerns(self, new: Object, old: Object) -> bool:
        return True

    def _may(self, admission: Admission, signer: str) -> bool:
        """The signer by name, or all of its domain."""
        domain = signer.partition("/")[0]
        return any(
            self._authorizer.authorize(Attributes(admission.user, self.verb, GROUP, "*", "signers", name=name)).allowed
            for name in (signer, f"{domain}/*")
        )


class CertificateApproval(_SignerPlugin):
    """Approving takes the verb `approve` on the signer."""

    name = "CertificateApproval"
    subresources = frozenset({"approval"})
    verb = "approve"


class CertificateSigning(_SignerPlugin):
    """Issuing, or failing, takes the verb `sign` on the signer."""

    name = "CertificateSigning"
    subresources = frozenset({"status"})
    verb = "sign"

    def _concerns(self, new: Object, old: Object) -> bool:
        before, after = old.get("status") or {}, new.get("status") or {}
        if before.get("certificate") != after.get("certificate"):
            return True
        return _failed(before) != _failed(after)


class CertificateSubjectRestriction(Plugin):
    """Nobody becomes a superuser by certificate."""

    name = "CertificateSubjectRestriction"
    resources = _REQUESTS

    def validate(self, admission: Admission) -> None:
        if admission.object is None or admission.object["spec"].get("signerName") != CLIENT_SIGNER:
            return
        try:
            request = base64.b64decode(admission.object["spec"].get("request", ""))
            subject = der.request_subject(der.from_pem(request))
        except (ValueError, binascii.Error):
            return  # what is no request is told by validation
        if (der.ORGANIZATION, "system:masters") in subject:
            why = f"use of {CLIENT_SIGNER} signer with system:masters group is not allowed"
            raise refusal(admission, why)


def _failed(status: Object) -> Object | None:
    return next((known for known in status.get("conditions") or () if known.get("type") == "Failed"), None)
