"""What a token's claims say of its user: rules and mappings of an AuthenticationConfiguration, in claims or CEL.

Ref: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#using-authentication-configuration
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mizzen.machinery.cel.program import CelError, Program
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity


class Refused(Exception):
    """The token's owner is not let in; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold: a claim has a value, or an expression yields true."""

    claim: str = ""
    value: str = ""
    program: Program | None = None
    message: str = ""

    def check(self, data: Mapping[str, Any]) -> None:
        """Raises Refused."""
        if self.program is None:
            if data["claims"].get(self.claim) != self.value:
                raise Refused(f"claim {self.claim} is not {self.value!r}")
            return
        if evaluated(self.program, data) is not True:
            raise Refused(self.message or f"validation expression {self.program.expression!r} failed")


@dataclass(frozen=True, slots=True)
class Source:
    """Where an attribute of the user comes from: a claim with a prefix before it, or an expression."""

    claim: str = ""
    prefix: str = ""
    program: Program | None = None

    def value(self, claims: Object) -> Any:
        """As it is in the claims, or as the expression makes it. Raises Refused."""
        if self.program is None:
            return claims.get(self.claim)
        return evaluated(self.program, {"claims": claims})


@dataclass(frozen=True, slots=True)
class Mappings:
    """All that makes a user out of claims."""

    username: Source
    groups: Source | None = None
    uid: Source | None = None
    extra: Mapping[str, Source] = field(default_factory=dict)
    claim_rules: Sequence[Rule] = ()
    user_rules: Sequence[Rule] = ()

    def user(self, claims: Object) -> Identity:
        """The user of a token whose signature, times and audience are right. Raises Refused."""
        if self.username.claim == "email" and claims.get("email_verified", True) is not True:
            raise Refused("the email address is not verified")
        for rule in self.claim_rules:
            rule.check({"claims": claims})
        name = self.username.value(claims)
        if not isinstance(name, str) or not name:
            raise Refused("the token does not tell a user name")
        uid = self.uid.value(claims) if self.uid is not None else ""
        if not isinstance(uid, str):
            raise Refused("the uid is not a text")
        groups = self.groups.value(claims) if self.groups is not None else None
        prefix = self.groups.prefix if self.groups is not None else ""
        more = {
            key: values for key, source in self.extra.items() if (values := tuple(_texts(key, source.value(claims))))
        }
        user = Identity(
            self.username.prefix + name,
            uid=uid,
            groups=tuple(prefix + one for one in _texts("groups", groups)),
            extra=more,
        )
        for rule in self.user_rules:
            rule.check({"user": _shown(user)})
        return user


def evaluated(program: Program, data: Mapping[str, Any]) -> Any:
    """What an expression yields. Raises Refused when it fails."""
    try:
        return program.evaluate(data)
    except CelError as error:
        raise Refused(str(error)) from error


def _texts(what: str, value: Any) -> Iterator[str]:
    """A text or a list of texts; nothing at all of what is empty. Raises Refused."""
    for one in value if isinstance(value, list) else () if value is None else (value,):
        if not isinstance(one, str):
            raise Refused(f"{what} must be a text or a list of texts")
        if one:
            yield one


def _shown(user: Identity) -> Object:
    """The user as expressions see it."""
    extra = {key: list(values) for key, values in user.extra.items()}
    return {"username": user.name, "uid": user.uid, "groups": list(user.groups), "extra": extra}
