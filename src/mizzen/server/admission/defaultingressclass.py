"""DefaultIngressClass: an Ingress that names no class gets the default one.

Ref: https://kubernetes.io/docs/concepts/services-networking/ingress/#default-ingress-class
"""

from typing import Final

from mizzen.api.networking.ingressclass import INGRESS_CLASS
from mizzen.server.admission.plugin import Plugin
from mizzen.server.seams import Admission, Reader

_IS_DEFAULT: Final = "ingressclass.kubernetes.io/is-default-class"
_CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"


class DefaultIngressClass(Plugin):
    """Fills in the class of new Ingresses."""

    name = "DefaultIngressClass"
    resources = frozenset({("networking.k8s.io", "ingresses")})

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def mutate(self, admission: Admission) -> None:
        ingress = admission.object
        if ingress is None:
            return
        spec = ingress.setdefault("spec", {})
        if spec.get("ingressClassName") is not None:
            return
        if _CLASS_ANNOTATION in (ingress["metadata"].get("annotations") or {}):
            return
        defaults = [
            known["metadata"]
            for known in self._reader.list(INGRESS_CLASS)
            if (known["metadata"].get("annotations") or {}).get(_IS_DEFAULT) == "true"
        ]
        if defaults:
            defaults.sort(key=lambda metadata: str(metadata["name"]))
            spec["ingressClassName"] = max(defaults, key=lambda metadata: metadata["creationTimestamp"])["name"]
