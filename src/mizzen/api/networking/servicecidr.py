"""ServiceCIDR (networking.k8s.io/v1): a range that cluster addresses are taken from."""

from collections.abc import Iterator

from mizzen.api.columns import AGE, NAME, age, name
from mizzen.api.kind import Column, Kind, Table
from mizzen.api.rules import addresses, conditions
from mizzen.api.rules.fields import IMMUTABLE
from mizzen.machinery.errors import FieldError, Object, invalid, required


def default(range_: Object) -> None:
    conditions.fill(range_.get("status"))


def prepare(range_: Object, old: Object | None) -> None:
    range_["status"] = {} if old is None else old.get("status") or {}


def validate(range_: Object, old: Object | None) -> Iterator[FieldError]:
    blocks = (range_.get("spec") or {}).get("cidrs") or []
    yield from _block_errors(blocks)
    if old is not None:
        yield from _update_errors(blocks, (old.get("spec") or {}).get("cidrs") or [])


def _block_errors(blocks: list[str]) -> Iterator[FieldError]:
    if not blocks:
        yield required("spec.cidrs", "at least one CIDR required")
        return
    if len(blocks) > 2:
        yield invalid("spec.cidrs", blocks, "may only hold up to 2 values")
        return
    parsed = [addresses.parse_block(block) for block in blocks]
    if len(blocks) == 2 and None not in parsed and len({block.version for block in parsed if block}) == 1:
        yield invalid(
            "spec.cidrs",
            blocks,
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/96",
        )
    for i, block in enumerate(blocks):
        yield from addresses.canonical_block(f"spec.cidrs[{i}]", block)


def _update_errors(blocks: list[str], stored: list[str]) -> Iterator[FieldError]:
    """The first range stays; a second one, of the other family, may be added once."""
    if len(blocks) == len(stored):
        for i, (block, before) in enumerate(zip(blocks, stored, strict=True)):
            if block != before:
                yield invalid(f"spec.cidrs[{i}]", block, IMMUTABLE)
    elif len(stored) == 1 and len(blocks) == 2:
        yield from _block_errors(blocks)
        if blocks[0] != stored[0]:
            yield invalid("spec.cidrs[0]", blocks[0], IMMUTABLE)
    else:
        yield invalid("spec.cidrs", blocks, IMMUTABLE)


SERVICE_CIDR = Kind(
    group="networking.k8s.io",
    version="v1",
    kind="ServiceCIDR",
    plural="servicecidrs",
    namespaced=False,
    singular="servicecidr",
    default=default,
    prepare=prepare,
    validate=validate,
    has_status=True,
    table=Table(
        columns=(NAME, Column("CIDRs"), AGE),
        row=lambda range_, now: [
            name(range_),
            ",".join((range_.get("spec") or {}).get("cidrs") or ()),
            age(range_, now),
        ],
    ),
)
