"""PriorityLevelConfiguration (flowcontrol.apiserver.k8s.io/v1): how many requests of a level run, and who waits."""

from collections.abc import Iterator
from math import log2

from mizzen.api.columns import AGE, NAME, NONE, age, name
from mizzen.api.kind import METADATA, Column, Kind, Table
from mizzen.machinery.errors import FieldError, Object, forbidden, invalid, not_supported, required

MANDATORY = ("exempt", "catch-all")
"""Levels and schemas that are always there, and always as they are."""
TYPES = ("Exempt", "Limited")
DEFAULT_SHARES = 30
QUEUING = {"queues": 64, "handSize": 8, "queueLengthLimit": 50}
QUEUE_LIMIT = 10_000_000
HAND_ENTROPY = 60
"""Bits that dealing a hand may cost."""


def default(level: Object) -> None:
    spec = level.setdefault("spec", {})
    limited, exempt = spec.get("limited"), spec.get("exempt")
    if spec.get("type") == "Exempt":
        exempt = spec.setdefault("exempt", {})
    if exempt is not None:
        _fill(exempt, {"nominalConcurrencyShares": 0, "lendablePercent": 0})
    if limited is not None:
        _fill(limited, {"nominalConcurrencyShares": DEFAULT_SHARES, "lendablePercent": 0})
        queuing = (limited.get("limitResponse") or {}).get("queuing")
        if queuing is not None:
            for field, value in QUEUING.items():
                queuing[field] = queuing.get(field) or value
    level.setdefault("status", {})


def _fill(target: Object, values: dict[str, int]) -> None:
    for field, value in values.items():
        if target.get(field) is None:
            target[field] = value


def prepare(level: Object, old: Object | None) -> None:
    level["status"] = {} if old is None else old.get("status") or {}


def validate(level: Object, old: Object | None) -> Iterator[FieldError]:
    spec = level.get("spec") or {}
    limited, exempt = spec.get("limited"), spec.get("exempt")
    match spec.get("type"):
        case "Exempt":
            if limited is not None:
                yield forbidden("spec.limited", "must be nil if the type is Exempt")
            yield from _share_errors("spec.exempt", exempt or {})
        case "Limited":
            if exempt is not None:
                yield forbidden("spec.exempt", "must be nil if the type is Limited")
            if limited is None:
                yield required("spec.limited", "must not be empty when type is Limited")
            else:
                yield from _limited_errors("spec.limited", limited)
        case type_:
            yield not_supported("spec.type", type_ or "", TYPES)
    if old is not None and name(level) in MANDATORY and _fixed(level) != _fixed(old):
        yield invalid("spec", spec, f"spec of '{name(level)}' must equal the fixed value")


def _fixed(level: Object) -> Object:
    """What of a mandatory level nobody may change: all but how the exempt ones lend."""
    return {field: value for field, value in level["spec"].items() if field != "exempt" or name(level) != "exempt"}


def _share_errors(path: str, settings: Object) -> Iterator[FieldError]:
    shares, lendable = settings.get("nominalConcurrencyShares"), settings.get("lendablePercent")
    if shares is not None and shares < 0:
        yield invalid(f"{path}.nominalConcurrencyShares", shares, "must be a non-negative integer")
    if lendable is not None and not 0 <= lendable <= 100:
        yield invalid(f"{path}.lendablePercent", lendable, "must be between 0 and 100, inclusive")


def _limited_errors(path: str, limited: Object) -> Iterator[FieldError]:
    yield from _share_errors(path, limited)
    borrowing = limited.get("borrowingLimitPercent")
    if borrowing is not None and borrowing < 0:
        yield invalid(f"{path}.borrowingLimitPercent", borrowing, "if specified, must be a non-negative integer")
    response = limited.get("limitResponse") or {}
    queuing = response.get("queuing")
    match response.get("type"):
        case "Reject":
            if queuing is not None:
                detail = "must be nil if limited.limitResponse.type is not Limited"
                yield forbidden(f"{path}.limitResponse.queuing", detail)
        case "Queue":
            if queuing is None:
                detail = "must not be empty if limited.limitResponse.type is Limited"
                yield required(f"{path}.limitResponse.queuing", detail)
            else:
                yield from _queuing_errors(f"{path}.limitResponse.queuing", queuing)
        case type_:
            yield not_supported(f"{path}.limitResponse.type", type_ or "", ("Queue", "Reject"))


def _queuing_errors(path: str, queuing: Object) -> Iterator[FieldError]:
    queues, hand = queuing.get("queues") or 0, queuing.get("handSize") or 0
    for field in ("queueLengthLimit", "queues", "handSize"):
        if (queuing.get(field) or 0) <= 0:
            yield invalid(f"{path}.{field}", queuing.get(field) or 0, "must be positive")
    if queues > QUEUE_LIMIT:
        yield invalid(f"{path}.queues", queues, f"must not be greater than {QUEUE_LIMIT}")
    if hand > queues:
        yield invalid(f"{path}.handSize", hand, f"should not be greater than queues ({queues})")
    elif queues > 0 and hand > 0:
        bits = sum(log2(queues - dealt) for dealt in range(min(hand, 64)))
        if bits > HAND_ENTROPY:
            cost = f"required entropy bits of deckSize {queues} and handSize {hand}"
            detail = f"{cost} should not be greater than {HAND_ENTROPY}"
            yield invalid(f"{path}.handSize", hand, detail)


def _row(level: Object, now: float) -> list[object]:
    spec = level["spec"]
    limited = spec.get("limited") or {}
    queuing = (limited.get("limitResponse") or {}).get("queuing") or {}
    return [
        name(level),
        spec.get("type", ""),
        limited.get("nominalConcurrencyShares", NONE),
        *(queuing.get(field, NONE) for field in QUEUING),
        age(level, now),
    ]


PRIORITY_LEVEL_CONFIGURATION = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    kind="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    namespaced=False,
    singular="prioritylevelconfiguration",
    default=default,
    prepare=prepare,
    validate=validate,
    compares_metadata=0,
    has_status=True,
    status_leaves=METADATA,
    has_generation=True,
    table=Table(
        columns=(
            NAME,
            Column("Type"),
            Column("NominalConcurrencyShares"),
            Column("Queues"),
            Column("HandSize"),
            Column("QueueLengthLimit"),
            AGE,
        ),
        row=_row,
    ),
)
