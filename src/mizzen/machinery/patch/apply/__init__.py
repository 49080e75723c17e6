"""Server-side apply: who owns which field of an object, and what an applied configuration makes of it.

`record_update` keeps `metadata.managedFields` for creates, updates and the other patches; `apply` merges.
Ref: https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from mizzen.machinery.patch.apply.apply import apply, check
from mizzen.machinery.patch.apply.entries import Writer, record_create, record_update

__all__ = ["Writer", "apply", "check", "record_create", "record_update"]
