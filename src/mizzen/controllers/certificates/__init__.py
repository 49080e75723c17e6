"""Certificate requests: nodes' own are approved, approved ones signed, old ones cleaned away.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/
"""

from mizzen.controllers.certificates.controller import APPROVING, CLEANING, signing

__all__ = ["APPROVING", "CLEANING", "signing"]
