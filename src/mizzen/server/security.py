"""Everything that says who may do what and what is admissible, made ready for `Server`.

Made within the server's `compose`, of the Reader and Writer it gets there; `config` answers the stages.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

from mizzen.base.clock import Clock
from mizzen.machinery.errors import Object
from mizzen.machinery.identity import Identity
from mizzen.server.admission.matching import Context
from mizzen.server.admission.plugins import complete
from mizzen.server.admission.webhooks.call import HttpCaller
from mizzen.server.allocators.ipaddresses import IpAddresses
from mizzen.server.allocators.services import NODE_PORTS, Services
from mizzen.server.audit import AuditLog, LogFile
from mizzen.server.auditpolicy import parse_policy
from mizzen.server.authn.bootstrap_tokens import BootstrapTokens
from mizzen.server.authn.chain import Chain, TokenAuthenticator, is_open
from mizzen.server.authn.frontproxy import FrontProxies
from mizzen.server.authn.issuer import DISCOVERY_PATH, KEYS_PATH, Issuer
from mizzen.server.authn.jwt import SigningKeys
from mizzen.server.authn.legacytokens import LegacyTokens
from mizzen.server.authn.reviews import SelfSubjectReviews, TokenReviews
from mizzen.server.authn.serviceaccounts import ServiceAccountTokens
from mizzen.server.authn.static_tokens import StaticTokens
from mizzen.server.authn.tokenrequest import TokenRequests
from mizzen.server.authz.chain import Authorizers, Superusers
from mizzen.server.authz.escalation import RbacEscalation
from mizzen.server.authz.node import NodeAuthorizer
from mizzen.server.authz.rbac import Rbac
from mizzen.server.authz.reviews import AccessReviews, RulesReviews
from mizzen.server.authz.rules import Rule
from mizzen.server.call import Call, Review
from mizzen.server.config import Config
from mizzen.server.fairness import Fairness
from mizzen.server.flowstatus import FlowStatuses
from mizzen.server.seams import AdmissionPlugin, Reader, Writer
from mizzen.server.work import Handlers
from mizzen.wire.message import Request, Response

if TYPE_CHECKING:
    from mizzen.server.authn.configuration import ConfigurationFile
    from mizzen.server.authn.oidc import Issuers

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decides."""

    signing_key: Path
    """PEM; signs ServiceAccount tokens."""
    issuer: str = ISSUER
    audiences: tuple[str, ...] = (ISSUER,)
    token_file: Path | None = None
    authentication: "ConfigurationFile | None" = None
    """Whose tokens are good beside the server's own, and where nobody needs one."""
    front_proxy_ca: Path | None = None
    """PEM; those whose certificates it has signed may name users in headers."""
    service_ranges: tuple[str, ...] = ("10.96.0.0/16",)
    node_ports: tuple[int, int] = NODE_PORTS
    audit_policy: Path | None = None
    """YAML; without one nothing is audited."""
    audit_log: Path = Path("audit.log")
    node_rules: tuple[Object, ...] = ()
    """Rules that the Node authorizer grants beside the graph: those of the role system:node."""


class Security:
    """Authenticators, authorizers, admission plugins and allocators of one server."""

    def __init__(self, settings: Settings, reader: Reader, writer: Writer, clock: Clock, rng: Random) -> None:
        self.reader = reader
        self.writer = writer
        self._settings = settings
        self._clock = clock
        self._keys = SigningKeys(settings.signing_key.read_bytes())
        trusted = settings.front_proxy_ca
        proxies = FrontProxies(trusted.read_bytes()) if trusted is not None else None
        given = settings.authentication
        self._issuers = _issuers(given, settings.audiences, clock) if given is not None else None
        allows = self._issuers.allows if self._issuers is not None else is_open
        self.authentication = Chain(self._tokens(), anonymous=allows, proxies=proxies)
        self.rbac = Rbac(self.reader)
        rules = tuple(Rule.parse(rule) for rule in settings.node_rules)
        self.authorizer = Authorizers((Superusers(), NodeAuthorizer(self.reader, rules), self.rbac))
        self.services = Services(self.reader, settings.service_ranges, rng, settings.node_ports)

    def admission(self) -> Sequence[AdmissionPlugin]:
        """All plugins, in order."""
        context = Context(self.reader, self.authorizer)
        plugins = complete(context, self.writer, HttpCaller(self.reader), self._clock)
        return (RbacEscalation(self.rbac, self.authorizer), *plugins)

    def config(self) -> Config:
        """All stages, for the server."""
        handlers = Handlers()
        self.install(handlers)
        return Config(
            authenticators=(self.authentication,),
            authorizers=(self.authorizer,),
            admission=self.admission(),
            allocators=(self.services,),
            handlers=handlers,
            fairness=Fairness(self.reader),
            auditor=self._auditor(),
        )

    def _auditor(self) -> AuditLog | None:
        path = self._settings.audit_policy
        if path is None:
            return None
        import yaml  # lazily: most servers audit nothing

        rules = parse_policy(yaml.safe_load(path.read_bytes()))
        return AuditLog(rules, LogFile(self._settings.audit_log), self._clock)

    def install(self, handlers: Handlers) -> None:
        """Answer the reviews and token requests."""
        access = AccessReviews(self.authorizer)
        reviews: Mapping[str, Review] = {
            "authorization.k8s.io/subjectaccessreviews": access.subject,
            "authorization.k8s.io/localsubjectaccessreviews": access.local,
            "authorization.k8s.io/selfsubjectaccessreviews": access.self,
            "authorization.k8s.io/selfsubjectrulesreviews": RulesReviews(self.rbac),
            "authentication.k8s.io/tokenreviews": TokenReviews(self.authentication, self._settings.audiences),
            "authentication.k8s.io/selfsubjectreviews": SelfSubjectReviews(self._clock),
        }
        handlers.virtual.update(reviews)
        settings = self._settings
        requests = TokenRequests(self._keys, settings.issuer, settings.audiences, self.reader, self._clock)

        def post(call: Call, request: Object) -> Object:
            return requests.create(call.info.namespace, call.info.name, request)

        handlers.posts["serviceaccounts", "token"] = post

    async def follow(self, ca: str = "") -> None:
        """Keep IPAddress objects, token Secrets and FlowSchemas' status in line, once the server has started."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(IpAddresses(self.reader, self.writer).run(), name="ipaddresses")
            tasks.create_task(FlowStatuses(self.reader, self.writer, self._clock).run(), name="flowstatuses")
            if self._issuers is not None:
                tasks.create_task(self._issuers.follow(), name="oidc")
            legacy = LegacyTokens(self._keys, ca, self.reader, self.writer, self._clock)
            self._accounts.used = legacy.used
            tasks.create_task(legacy.run(), name="legacytokens")

    def document(self, request: Request, user: Identity) -> Response:
        """The issuer's OIDC discovery document or key set, by path."""
        return Issuer(self._settings.issuer, self._keys).documents()[request.path.rstrip("/")]

    @property
    def document_paths(self) -> tuple[str, ...]:
        """Where `document` is to be served."""
        return DISCOVERY_PATH, KEYS_PATH

    def _tokens(self) -> list[TokenAuthenticator]:
        settings = self._settings
        tokens: list[TokenAuthenticator] = []
        if settings.token_file is not None:
            tokens.append(StaticTokens.load(settings.token_file, settings.audiences))
        accounts = ServiceAccountTokens(self._keys, settings.issuer, settings.audiences, self.reader, self._clock)
        self._accounts = accounts
        tokens.append(accounts)
        tokens.append(BootstrapTokens(self.reader, self._clock))
        if self._issuers is not None:
            tokens.append(self._issuers)
        return tokens


def _issuers(given: "ConfigurationFile", audiences: Sequence[str], clock: Clock) -> "Issuers":
    from mizzen.server.authn.oidc import Issuers  # lazily: most servers know their own tokens alone

    return Issuers(given, audiences, clock)
