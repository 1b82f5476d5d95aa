"""nginx's `allow` and `deny`, of which the first that fits decides, as the networks that are let in."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from itertools import takewhile
from typing import Final, TypeAlias, TypeVar

from splice.tools.nginx_import.reader import Directive

__all__ = ["EVERYONE", "admitted", "as_keys", "rules_for"]

Network: TypeAlias = IPv4Network | IPv6Network
OneKind = TypeVar("OneKind", IPv4Network, IPv6Network)

_ALL: Final = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
EVERYONE: Final = [str(network) for network in _ALL]


def rules_for(action: str, directives: Iterable[Directive]) -> list[tuple[bool, str]]:
    """The rules for "publish" or "play" among directives: whether each lets in, and an address, a network or "all"."""
    rules = []
    for each in directives:
        if each.name in ("allow", "deny") and each.args:
            *whom, what = each.args
            if not whom or action in whom:
                rules.append((each.name == "allow", what))
    return rules


def as_keys(rules: Iterable[tuple[bool, str]]) -> dict[str, list[str]]:
    """`allow` and `deny` of a table of the door's, which lets in who is in the first and not in the second.

    Raises:
        ValueError: as `admitted`.
    """
    until_all = list(takewhile(lambda rule: rule != (True, "all"), rules))
    if any(allows or what == "all" for allows, what in until_all):
        return {"allow": [str(each) for each in admitted(until_all)], "deny": []}
    return {"allow": EVERYONE, "deny": [str(ip_network(what, strict=False)) for _, what in until_all]}


def admitted(rules: Iterable[tuple[bool, str]]) -> list[Network]:
    """The networks that rules let in, tried in their order; who fits none of them is let in too.

    Raises:
        ValueError: a rule holds what is no address, no network and not "all".
    """
    v4: list[tuple[bool, IPv4Network]] = []
    v6: list[tuple[bool, IPv6Network]] = []
    for allows, what in rules:
        for network in _ALL if what == "all" else (ip_network(what, strict=False),):
            if isinstance(network, IPv4Network):
                v4.append((allows, network))
            else:
                v6.append((allows, network))
    return [*_admitted(_ALL[0], v4), *_admitted(_ALL[1], v6)]


def _admitted(everyone: OneKind, rules: Iterable[tuple[bool, OneKind]]) -> list[OneKind]:
    undecided = [everyone]
    let_in: list[OneKind] = []
    for allows, network in rules:
        rest: list[OneKind] = []
        for part in undecided:
            if not part.overlaps(network):
                rest.append(part)
                continue
            inner = max(part, network, key=lambda each: each.prefixlen)  # of two that overlap, one holds the other
            rest += part.address_exclude(inner)
            if allows:
                let_in.append(inner)
        undecided = rest
    return list(collapse_addresses(let_in + undecided))
