"""CertificateSigningRequest (certificates.k8s.io/v1): a wish for a certificate, its approval, and the certificate.

Who asks stands in the spec and comes from the request; the server fills it in.
"""

from collections.abc import Iterator

from mizzen.api.certificates import pem, signers
from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.kind import Column, Kind, Subresource, Table
from mizzen.machinery import times
from mizzen.machinery.errors import FieldError, Object, duplicate, forbidden, invalid, not_supported, required

LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
SHORTEST = 600
DECISIONS = ("Approved", "Denied")
LASTING = ("Approved", "Denied", "Failed")
USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)


def default(request: Object) -> None:
    request.setdefault("status", {})


def prepare(request: Object, old: Object | None) -> None:
    """A request is never changed, only decided upon and signed through its subresources."""
    request["status"] = {} if old is None else old.get("status") or {}
    if old is not None:
        request["spec"] = old["spec"]


def prepare_status(request: Object, old: Object | None) -> None:
    """Through /status all but the decision may change."""
    stored = (old or {}).get("status") or {}
    status = request.setdefault("status", {})
    _merge(status, stored, DECISIONS, kept=True)
    _date(request, stored)


def prepare_approval(request: Object, old: Object | None) -> None:
    """Through /approval the decision alone may change."""
    stored = (old or {}).get("status") or {}
    if old is not None:
        request["spec"] = old["spec"]
    given = request.get("status") or {}
    status = {**stored, "conditions": given.get("conditions")}
    _merge(status, stored, DECISIONS, kept=False)
    request["status"] = status
    _date(request, stored)


def _merge(status: Object, stored: Object, types: tuple[str, ...], *, kept: bool) -> None:
    """Conditions of these types (or, not kept, of all other types) stay as stored, where the client named them too."""
    before = {condition.get("type"): condition for condition in stored.get("conditions") or ()}
    merged = []
    for condition in status.get("conditions") or ():
        known = before.get(condition.get("type"))
        frozen = (condition.get("type") in types) == kept
        merged.append(known if frozen and known is not None else condition)
    if merged:
        status["conditions"] = merged
    else:
        status.pop("conditions", None)


def _date(request: Object, stored: Object) -> None:
    """Conditions that carry no date get that of this write, which the record of managers has."""
    now = max((entry.get("time") or "" for entry in request["metadata"].get("managedFields") or ()), default="")
    before = {(c.get("type"), c.get("status")): c for c in stored.get("conditions") or ()}
    for condition in request["status"].get("conditions") or () if now else ():
        known = before.get((condition.get("type"), condition.get("status"))) or {}
        condition["lastUpdateTime"] = condition.get("lastUpdateTime") or now
        condition["lastTransitionTime"] = condition.get("lastTransitionTime") or known.get("lastTransitionTime") or now


def validate(request: Object, old: Object | None) -> Iterator[FieldError]:
    spec = request.get("spec") or {}
    if old is None:
        problem = pem.request_problem(spec.get("request"))
        if problem:
            yield invalid("spec.request", spec.get("request"), problem)
    yield from _usage_errors(spec.get("usages") or [])
    if spec.get("signerName") == LEGACY_SIGNER:
        detail = "the legacy signerName is not allowed via this API version"
        yield invalid("spec.signerName", LEGACY_SIGNER, detail)
    else:
        yield from signers.errors("spec.signerName", spec.get("signerName"))
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < SHORTEST:
        detail = f"may not specify a duration less than {SHORTEST} seconds (10 minutes)"
        yield invalid("spec.expirationSeconds", seconds, detail)


def _usage_errors(usages: list[str]) -> Iterator[FieldError]:
    if not usages:
        yield required("spec.usages")
    for i, usage in enumerate(usages):
        if usage not in USAGES:
            yield not_supported(f"spec.usages[{i}]", usage, USAGES)
        if usage in usages[:i]:
            yield duplicate(f"spec.usages[{i}]", usage)


def validate_status(request: Object, old: Object | None) -> Iterator[FieldError]:
    yield from _condition_errors(request)
    yield from _lasting_errors(request, old, added=DECISIONS)
    certificate = (request.get("status") or {}).get("certificate")
    stored = ((old or {}).get("status") or {}).get("certificate")
    if stored and certificate != stored:
        yield forbidden("status.certificate", "updates may not modify existing certificate content")
    if certificate and certificate != stored:
        problem = pem.encoded_chain_problem(certificate)
        if problem:
            yield invalid("status.certificate", "<certificate data>", problem)


def validate_approval(request: Object, old: Object | None) -> Iterator[FieldError]:
    yield from _condition_errors(request)
    yield from _lasting_errors(request, old, added=())


def _conditions(request: Object | None) -> list[Object]:
    return list(((request or {}).get("status") or {}).get("conditions") or ())


def _condition_errors(request: Object) -> Iterator[FieldError]:
    seen: list[str] = []
    for i, condition in enumerate(_conditions(request)):
        path, type_, status = f"status.conditions[{i}]", condition.get("type") or "", condition.get("status") or ""
        if not type_:
            yield required(f"{path}.type")
        if type_ in seen:
            yield duplicate(f"{path}.type", type_)
        if not status:
            yield required(f"{path}.status")
        elif type_ in LASTING and status != "True":
            yield not_supported(f"{path}.status", status, ("True",))
        elif status not in {"True", "False", "Unknown"}:
            yield not_supported(f"{path}.status", status, ("False", "True", "Unknown"))
        if type_ in DECISIONS and any(other in DECISIONS and other != type_ for other in seen):
            yield invalid(f"{path}.type", type_, "Approved and Denied conditions are mutually exclusive")
        seen.append(type_)


def _lasting_errors(request: Object, old: Object | None, *, added: tuple[str, ...]) -> Iterator[FieldError]:
    """A decision or failure stays; `added` are the types that this subresource may not add."""
    now = {condition.get("type") for condition in _conditions(request)}
    before = {condition.get("type") for condition in _conditions(old)}
    for type_ in LASTING:
        if type_ in before and type_ not in now:
            yield forbidden("status.conditions", f'updates may not remove a condition of type "{type_}"')
    for type_ in added:
        if type_ in now and type_ not in before:
            yield forbidden("status.conditions", f'updates may not add a condition of type "{type_}"')


def _state(request: Object) -> str:
    """What was decided, whether it failed, and whether there is a certificate."""
    types = [condition.get("type") for condition in _conditions(request)]
    if "Denied" in types:
        decision = "Denied"
    elif "Approved" in types:
        decision = "Approved"
    else:
        decision = "Pending"
    parts = [decision]
    if "Failed" in types:
        parts.append("Failed")
    if (request.get("status") or {}).get("certificate"):
        parts.append("Issued")
    return ",".join(parts)


def _row(request: Object, now: float) -> list[object]:
    spec = request["spec"]
    seconds = spec.get("expirationSeconds")
    return [
        name(request),
        age(request, now),
        spec.get("signerName") or NONE,
        spec.get("username") or "",
        NONE if seconds is None else times.age(seconds),
        _state(request),
    ]


CERTIFICATE_SIGNING_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="CertificateSigningRequest",
    plural="certificatesigningrequests",
    namespaced=False,
    singular="certificatesigningrequest",
    short_names=("csr",),
    check_name=lambda text: (),
    default=default,
    prepare=prepare,
    validate=validate,
    has_status=True,
    prepare_status=prepare_status,
    validate_status=validate_status,
    table=Table(
        columns=(
            NAME,
            AGE,
            Column("SignerName"),
            Column("Requestor"),
            Column("RequestedDuration"),
            Column("Condition"),
        ),
        row=_row,
    ),
    selectable={"spec.signerName": lambda request: request["spec"].get("signerName") or ""},
    subresources=(
        Subresource(
            "approval",
            verbs=("get", "patch", "update"),
            kind="CertificateSigningRequest",
            group="certificates.k8s.io",
            prepare=prepare_approval,
            validate=validate_approval,
        ),
    ),
)
