"""Kinds of the networking.k8s.io group."""

from mizzen.api.kind import Kind
from mizzen.api.networking.ingress import INGRESS
from mizzen.api.networking.ingressclass import INGRESS_CLASS
from mizzen.api.networking.ipaddress import IP_ADDRESS
from mizzen.api.networking.networkpolicy import NETWORK_POLICY
from mizzen.api.networking.servicecidr import SERVICE_CIDR

KINDS: tuple[Kind, ...] = (
    INGRESS_CLASS,
    INGRESS,
    IP_ADDRESS,
    NETWORK_POLICY,
    SERVICE_CIDR,
)
