"""Where webhooks are called: by URL or by Service, for admission and for conversion alike."""

from collections.abc import Iterator

from mizzen.api.rules import urls
from mizzen.machinery import names
from mizzen.machinery.errors import FieldError, Object, invalid, required

_FORM = "; desired format: https://host[/path]"
REVIEW_VERSIONS = ("v1", "v1beta1")


def default_client(client: Object | None) -> None:
    service = (client or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443


def client_errors(path: str, client: Object) -> Iterator[FieldError]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        yield required(path, "exactly one of url or service is required")
    elif url is not None:
        yield from _url_errors(f"{path}.url", url)
    elif service is not None:
        yield from _service_errors(f"{path}.service", service)


def _url_errors(path: str, url: str) -> Iterator[FieldError]:
    if failure := urls.problem(url):
        yield required(path, f'url must be a valid URL: parse "{url}": {failure}{_FORM}')
        return
    parts = urls.split(url)
    if parts.scheme != "https":
        yield invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not parts.host:
        yield invalid(path, parts.host, f"host must be specified{_FORM}")
    if parts.user is not None:
        yield invalid(path, parts.user, "user information is not permitted in the URL")
    if parts.fragment:
        yield invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        yield invalid(path, parts.query, "query parameters are not permitted in the URL")


def _service_errors(path: str, service: Object) -> Iterator[FieldError]:
    """Whoever lacks the name hears of the namespace, and the other way round, as clients of the original do.

    Ref: https://github.com/kubernetes/kubernetes/issues/141353
    """
    for field, blamed in (("namespace", "name"), ("name", "namespace")):
        if not service.get(field):
            yield required(f"{path}.{blamed}")
    port = service.get("port")
    for problem in names.port_number(443 if port is None else port):
        yield invalid(f"{path}.port", port, f"port is not valid: {problem}")
    where = service.get("path") or ""
    if where in {"", "/"}:
        return
    if where == "//":
        yield invalid(f"{path}.path", where, "segment[0] may not be empty")
        return
    if not where.startswith("/"):
        yield invalid(f"{path}.path", where, "must start with a '/'")
    for i, segment in enumerate(where[1:].removesuffix("/").split("/")):
        if not segment:
            yield invalid(f"{path}.path", where, f"segment[{i}] may not be empty")
            continue
        for problem in names.dns1123_subdomain(segment):
            yield invalid(f"{path}.path", where, f"segment[{i}]: {problem}")


def review_version_errors(path: str, versions: list[str]) -> Iterator[FieldError]:
    """Versions of the review that a webhook understands; one of them must be ours."""
    if not versions:
        yield required(path, f"must specify one of {', '.join(REVIEW_VERSIONS)}")
        return
    for i, version in enumerate(versions):
        if version in versions[:i]:
            yield invalid(f"{path}[{i}]", version, "duplicate version")
            continue
        for problem in names.dns1035_label(version):
            yield invalid(f"{path}[{i}]", version, problem)
    if not set(versions) & set(REVIEW_VERSIONS):
        yield invalid(path, versions, f"must include at least one of {', '.join(REVIEW_VERSIONS)}")
