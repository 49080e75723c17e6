"""PodCertificateRequest (certificates.k8s.io/v1): a node asks for a certificate for one of its pods."""

from collections.abc import Iterator

from mizzen.api.certificates import pem, signers
from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.api.rules import conditions, fields
from mizzen.machinery.errors import FieldError, Object, invalid, not_supported, required

SHORTEST = 3600
LONGEST = 91 * 86400
LONGEST_FOR_OWN_SIGNERS = 86400
DEFAULT_SECONDS = 86400
OUTCOMES = ("Denied", "Failed", "Issued")
UID_LIMIT = 128


def default(request: Object) -> None:
    spec = request.setdefault("spec", {})
    if spec.get("maxExpirationSeconds") is None:
        spec["maxExpirationSeconds"] = DEFAULT_SECONDS
    conditions.fill(request.get("status"))


def prepare(request: Object, old: Object | None) -> None:
    request["status"] = {} if old is None else old.get("status") or {}


def validate(request: Object, old: Object | None) -> Iterator[FieldError]:
    spec = request.get("spec") or {}
    if old is not None:
        yield from fields.unchanged("spec", spec, old.get("spec"))
        return
    signer = spec.get("signerName")
    yield from signers.errors("spec.signerName", signer)
    for field in ("podName", "serviceAccountName", "nodeName"):
        yield from fields.subdomain(f"spec.{field}", spec.get(field) or "")
    for field in ("podUID", "serviceAccountUID", "nodeUID"):
        uid = spec.get(field) or ""
        if not uid:
            yield required(f"spec.{field}")
        elif len(uid) > UID_LIMIT:
            yield invalid(f"spec.{field}", uid, f"must be no more than {UID_LIMIT} characters")
    seconds = spec.get("maxExpirationSeconds")
    longest = LONGEST_FOR_OWN_SIGNERS if (signer or "").startswith("kubernetes.io/") else LONGEST
    if seconds is None:
        yield required("spec.maxExpirationSeconds")
    elif not SHORTEST <= seconds <= longest:
        detail = f"must be in the range [{SHORTEST}, {longest}]"
        yield invalid("spec.maxExpirationSeconds", seconds, detail)
    yield from fields.labels(
        "spec.unverifiedUserAnnotations", dict.fromkeys(spec.get("unverifiedUserAnnotations") or {}, "")
    )


def validate_status(request: Object, old: Object | None) -> Iterator[FieldError]:
    status = request.get("status") or {}
    outcomes = [c for c in status.get("conditions") or () if c.get("type") in OUTCOMES]
    for i, condition in enumerate(status.get("conditions") or ()):
        if condition.get("type") not in OUTCOMES:
            yield not_supported(f"status.conditions[{i}].type", condition.get("type") or "", OUTCOMES)
        elif condition.get("status") != "True":
            yield not_supported(f"status.conditions[{i}].status", condition.get("status") or "", ("True",))
    if len(outcomes) > 1:
        yield invalid("status.conditions", outcomes, "at most one of Issued, Denied and Failed may be set")
    chain = status.get("certificateChain")
    if chain:
        problem = pem.chain_problem(chain)
        if problem:
            yield invalid("status.certificateChain", "<certificate data>", problem)
    if any(c.get("type") == "Issued" for c in outcomes):
        for field in ("certificateChain", "notBefore", "notAfter", "beginRefreshAt"):
            if not status.get(field):
                yield required(f"status.{field}", "must be set once the certificate is issued")


def _state(request: Object) -> str:
    told = (request.get("status") or {}).get("conditions") or ()
    return next((c["type"] for c in told if c.get("type") in OUTCOMES), "Pending")


POD_CERTIFICATE_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    kind="PodCertificateRequest",
    plural="podcertificaterequests",
    namespaced=True,
    singular="podcertificaterequest",
    default=default,
    prepare=prepare,
    validate=validate,
    has_status=True,
    status_leaves=METADATA,
    validate_status=validate_status,
    table=Table(
        columns=(
            NAME,
            Column("PodName"),
            Column("ServiceAccountName"),
            Column("NodeName"),
            Column("SignerName"),
            Column("State"),
            AGE,
        ),
        row=lambda request, now: [
            name(request),
            *(request["spec"].get(field, "") for field in ("podName", "serviceAccountName", "nodeName", "signerName")),
            _state(request),
            age(request, now),
        ],
    ),
    selectable={
        "spec.signerName": lambda request: request["spec"].get("signerName") or "",
        "spec.podName": lambda request: request["spec"].get("podName") or "",
        "spec.nodeName": lambda request: request["spec"].get("nodeName") or "",
    },
)
