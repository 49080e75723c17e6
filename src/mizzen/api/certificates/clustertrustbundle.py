"""ClusterTrustBundle (certificates.k8s.io/v1): root certificates that pods may trust."""

from collections.abc import Iterator

from mizzen.api.certificates import pem, signers
from mizzen.api.columns import NAME, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import fields
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid

SIZE_LIMIT = 1 << 20


def check_name(text: str) -> list[str]:
    """A bundle of a signer is named `example.com:signer:name`; the last part is a subdomain."""
    return names.dns1123_subdomain(text.rpartition(":")[2]) if ":" not in text else names.path_segment(text)


def validate(bundle: Object, old: Object | None) -> Iterator[FieldError]:
    spec = bundle.get("spec") or {}
    signer, text = spec.get("signerName") or "", spec.get("trustBundle") or ""
    bundle_name = name(bundle)
    if signer:
        yield from signers.errors("spec.signerName", signer)
        prefix = f"{signer.replace('/', ':')}:"
        if not bundle_name.startswith(prefix):
            detail = f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"
            yield invalid("metadata.name", bundle_name, detail)
    elif ":" in bundle_name:
        detail = 'ClusterTrustBundle without signer name must not have ":" in its name'
        yield invalid("metadata.name", bundle_name, detail)
    if old is not None:
        yield from fields.unchanged("spec.signerName", signer, (old.get("spec") or {}).get("signerName"))
    if len(text) > SIZE_LIMIT:
        yield invalid("spec.trustBundle", "<value omitted>", f"size exceeds {SIZE_LIMIT} bytes")
        return
    problem = pem.chain_problem(text) if text else "at least one trust anchor must be provided"
    if problem:
        yield invalid("spec.trustBundle", "<value omitted>", problem)


CLUSTER_TRUST_BUNDLE = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="ClusterTrustBundle",
    plural="clustertrustbundles",
    namespaced=False,
    singular="clustertrustbundle",
    check_name=check_name,
    validate=validate,
    unconditional_update=False,
    table=Table(
        columns=(NAME, Column("SignerName")),
        row=lambda bundle, now: [name(bundle), bundle["spec"].get("signerName") or "<none>"],
    ),
    selectable={"spec.signerName": lambda bundle: bundle["spec"].get("signerName") or ""},
)
