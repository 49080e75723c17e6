"""Rules as nftables commands: the whole table, or only what differs. Pure.

One table; a map from frontends to a chain for their *number* of endpoints, shared by all Services; there a random
number is drawn, and a second map leads from frontend and number to the endpoint. What belongs to no
connection is dropped: it would reach clients with the address of an endpoint that they know nothing of, and be reset.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from mizzen.net.nftables import elements
from mizzen.proxy.rules import Frontend, RuleSet, Target
from mizzen.proxy.slots import Placement, Placements

TABLE: Final = "mizzen_services"
_WITHIN: Final = 1 << 16
"""Numbers of places for clients on this node start past this one; the others at 1."""
_MASQUERADE: Final = "0x4d5a0000"

_SKELETON: Final = f"""
add table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
  set pods {{ type ipv4_addr; flags interval; }}
  set ownpods {{ type ipv4_addr; flags interval; }}
  set clusterips {{ type ipv4_addr; }}
  set hairpin {{ type ipv4_addr . ipv4_addr; }}
  map services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map nodeports {{ type inet_proto . inet_service : verdict; }}
  map endpoints {{ type ipv4_addr . inet_proto . inet_service . mark : ipv4_addr . inet_service; }}
  map nodeendpoints {{ type inet_proto . inet_service . mark : ipv4_addr . inet_service; }}
  map refused {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
  map noderefused {{ type inet_proto . inet_service : verdict; }}
  set guarded {{ type ipv4_addr . inet_proto . inet_service; }}
  set allowed {{ type ipv4_addr . inet_proto . inet_service . ipv4_addr; flags interval; }}
  map affinity {{ type ipv4_addr . ipv4_addr . inet_proto . inet_service : mark; size 65536; flags dynamic,timeout; }}

  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmp type port-unreachable
  }}
  chain admission {{
    ip daddr . meta l4proto . th dport @guarded ip daddr . meta l4proto . th dport . ip saddr != @allowed drop
    ip daddr . meta l4proto . th dport vmap @refused
    fib daddr type local meta l4proto . th dport vmap @noderefused
  }}
  chain admission_prerouting {{ type filter hook prerouting priority -150; ct state new goto admission; }}
  chain admission_output {{ type filter hook output priority -150; ct state new goto admission; }}
  chain unknown_forward {{
    type filter hook forward priority 0;
    ct state invalid drop
    ct state new ip daddr @clusterips goto refuse
  }}
  chain unknown_output {{ type filter hook output priority 0; ct state new ip daddr @clusterips goto refuse; }}

  chain pick_s {{
    ip protocol tcp dnat ip to ip daddr . meta l4proto . th dport . meta mark map @endpoints
    ip protocol udp dnat ip to ip daddr . meta l4proto . th dport . meta mark map @endpoints
  }}
  chain pick_n {{
    ip protocol tcp dnat ip to meta l4proto . th dport . meta mark map @nodeendpoints
    ip protocol udp dnat ip to meta l4proto . th dport . meta mark map @nodeendpoints
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    ip daddr @clusterips ip saddr != @pods ct mark set {_MASQUERADE}
    ip daddr . meta l4proto . th dport vmap @services
    fib daddr type local meta l4proto . th dport vmap @nodeports
  }}
  chain output {{
    type nat hook output priority -100;
    ip daddr . meta l4proto . th dport vmap @services
    ip daddr != 127.0.0.0/8 fib daddr type local meta l4proto . th dport vmap @nodeports
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    ct mark {_MASQUERADE} ct status dnat masquerade
    ct status dnat ip saddr . ip daddr @hairpin masquerade
  }}
}}
"""

Elements = Mapping[str, Mapping[str, str]]
"""For each set or map, its elements: key to value (empty in sets)."""


class Draw(NamedTuple):
    """A chain that draws one of so many places: `on_node` for node ports; see `Backend` for the rest."""

    on_node: bool
    places: int
    within: int
    masquerade: bool
    affinity: int
    offset: int = 0

    @property
    def name(self) -> str:
        parts = ["n" if self.on_node else "s", str(self.places)]
        parts += [f"w{self.within}"] if self.within else []
        parts += ["m"] if self.masquerade else []
        parts += [f"a{self.affinity}"] if self.affinity else []
        parts += ["i"] if self.offset else []
        return "".join(parts)


def whole(ruleset: RuleSet, placed: Placements) -> str:
    """Commands that lay the table down anew."""
    return _SKELETON + "".join(map(_chain, _ordered(draws(placed)))) + _changed({}, elements_of(ruleset, placed))


def changes(before: tuple[RuleSet, Placements], after: tuple[RuleSet, Placements], known: frozenset[Draw]) -> str:
    """Commands that turn one state into another; `known` are the chains that are there already."""
    touched = [one for one in before[1].keys() | after[1].keys() if before[1].get(one) is not after[1].get(one)]
    old = {one: before[1][one] for one in touched if one in before[1]}
    new = {one: after[1][one] for one in touched if one in after[1]}
    made = _ordered(draws(new) - known)
    return "".join(map(_chain, made)) + _changed(
        {**_placed_elements(old), **_shared_elements(*before)}, {**_placed_elements(new), **_shared_elements(*after)}
    )


def draws(placed: Placements) -> frozenset[Draw]:
    """The chains that these places need."""
    needed: set[Draw] = set()
    for frontend, placement in placed.items():
        if draw := _draw(frontend, placement):
            needed.add(draw)
            if draw.within:
                needed.add(_inner(draw))
    return frozenset(needed)


def elements_of(ruleset: RuleSet, placed: Placements) -> Elements:
    """Every element of every set and map."""
    return {**_placed_elements(placed), **_shared_elements(ruleset, placed)}


def _draw(frontend: Frontend, placement: Placement) -> Draw | None:
    if not placement.slots and not placement.within:
        return None
    backend = placement.backend
    return Draw(not frontend.ip, len(placement.slots), len(placement.within), backend.masquerade, backend.affinity)


def _inner(draw: Draw) -> Draw:
    return Draw(draw.on_node, draw.within, 0, False, draw.affinity, _WITHIN)


def _ordered(needed: Iterable[Draw]) -> list[Draw]:
    """Inner chains first: a chain must be there before another goes to it."""
    return sorted(needed, key=lambda draw: (-draw.offset, draw))


def _chain(draw: Draw) -> str:
    lines: list[str] = []
    pick = "pick_n" if draw.on_node else "pick_s"
    if draw.within:
        lines += [f"ip saddr @ownpods goto {_inner(draw).name}", f"fib saddr type local goto {_inner(draw).name}"]
    if not draw.places:
        lines += ["drop"]
    else:
        lines += [f"ct mark set {_MASQUERADE}"] if draw.masquerade else []
        roll = f"meta mark set numgen random mod {draw.places} offset {draw.offset + 1}"
        if draw.affinity:
            key = "ip saddr . ip daddr . meta l4proto . th dport"
            remember = f"update @affinity {{ {key} timeout {draw.affinity}s : meta mark }}"
            lines += [
                "meta mark set 0",
                f"meta mark set {key} map @affinity",
                f"meta mark != 0 {remember}",
                f"meta mark != 0 jump {pick}",
                roll,
                remember,
            ]
        else:
            lines += [roll]
        lines += [f"goto {pick}"]
    body = "; ".join(lines)
    return f"add chain ip {TABLE} {draw.name} {{ {body}; }}\n"


def _placed_elements(placed: Placements) -> Elements:
    found: dict[str, dict[str, str]] = {
        name: {}
        for name in (
            "services",
            "nodeports",
            "endpoints",
            "nodeendpoints",
            "refused",
            "noderefused",
            "guarded",
            "allowed",
        )
    }
    for frontend, placement in placed.items():
        at = f"{frontend.protocol} . {frontend.port}"
        key, node = (f"{frontend.ip} . {at}", "") if frontend.ip else (at, "node")
        draw = _draw(frontend, placement)
        if draw is None:
            found[f"{node}refused"][key] = "drop" if placement.backend.drops else "goto refuse"
            continue
        found["nodeports" if node else "services"][key] = f"goto {draw.name}"
        for number, target in _numbered(placement):
            found[f"{node}endpoints"][f"{key} . {number:#x}"] = f"{target.ip} . {target.port}"
        if placement.backend.sources and not node:
            found["guarded"][key] = ""
            found["allowed"].update((f"{key} . {source}", "") for source in placement.backend.sources)
    return found


def _numbered(placement: Placement) -> Iterator[tuple[int, Target]]:
    for first, slots in ((1, placement.slots), (_WITHIN + 1, placement.within)):
        yield from enumerate((slot.target for slot in slots), first)


def _shared_elements(ruleset: RuleSet, placed: Placements) -> Elements:
    return {
        "pods": dict.fromkeys(sorted(ruleset.pods), ""),
        "ownpods": dict.fromkeys(sorted(ruleset.own_pods), ""),
        "clusterips": {frontend.ip: "" for frontend, one in placed.items() if one.backend.is_cluster_ip},
        "hairpin": {f"{ip} . {ip}": "" for ip in ruleset.local},
    }


def _changed(before: Elements, after: Elements) -> str:
    deleted, added = [], []
    for name in after:
        old, new = before.get(name, {}), after[name]
        gone = [_element(key, old[key]) for key in old if new.get(key) != old[key]]
        come = [_element(key, new[key]) for key in new if old.get(key) != new[key]]
        deleted.append(elements("ip", TABLE, "delete", name, gone))
        added.append(elements("ip", TABLE, "add", name, come))
    return "".join(deleted) + "".join(added)


def _element(key: str, value: str) -> str:
    return f"{key} : {value}" if value else key
