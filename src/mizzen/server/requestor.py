"""Who asked, as a certificate signing request must say truly.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from mizzen.machinery.errors import Object
from mizzen.server.call import Write

_FIELDS = ("username", "uid", "groups", "extra")


def record(write: Write, obj: Object) -> None:
    """Put the user of a create into a CertificateSigningRequest, whatever it says itself."""
    kind = write.kind
    if kind.plural != "certificatesigningrequests" or kind.group != "certificates.k8s.io":
        return
    spec, user = obj.setdefault("spec", {}), write.user
    for name in _FIELDS:
        spec.pop(name, None)
    spec["username"] = user.name
    if user.uid:
        spec["uid"] = user.uid
    if user.groups:
        spec["groups"] = list(user.groups)
    if user.extra:
        spec["extra"] = {key: list(values) for key, values in user.extra.items()}
