import base64
from pathlib import Path

import pytest
import yaml

from mizzen.api.core.secret import SECRET
from mizzen.base.clock import VirtualClock
from mizzen.server.encryption import Encryption, Key, Unreadable, configured, from_file, generated, storage_of
from mizzen.server.sealedstore import SealedStore
from mizzen.server.server import Server
from mizzen.store.base import Conflict
from mizzen.store.memory import MemoryStore

OLD, NEW = Key("old", b"o" * 32), Key("new", b"n" * 16)


def test_what_was_sealed_opens_and_shows_nothing() -> None:
    encryption = Encryption({"secrets": (NEW,)})
    sealed = encryption.seal("secrets", "secrets/shop/a", b"plain text")
    assert sealed.startswith(b"k8s:enc:aesgcm:v1:new:")
    assert b"plain" not in sealed
    assert encryption.open("secrets", "secrets/shop/a", sealed) == b"plain text"
    assert encryption.seal("pods", "pods/shop/a", b"plain text") == b"plain text"


@pytest.mark.parametrize("data", [b"", b"plain text", b"sixteen bytes ok", b"x" * 1000])
@pytest.mark.parametrize("provider", ["aesgcm", "aescbc", "secretbox"])
def test_every_provider_opens_what_it_sealed_and_nothing_else(provider: str, data: bytes) -> None:
    key, other = Key("k", b"k" * 32, provider), Key("k", b"o" * 32, provider)
    encryption = Encryption({"secrets": (key,)})
    sealed = encryption.seal("secrets", "secrets/a", data)
    assert sealed.startswith(f"k8s:enc:{provider}:v1:k:".encode())
    assert sealed != encryption.seal("secrets", "secrets/a", data)
    assert encryption.open("secrets", "secrets/a", sealed) == data
    assert encryption.is_current("secrets", sealed)
    assert Encryption({"secrets": (other, key)}).open("secrets", "secrets/a", sealed) == data
    with pytest.raises(Unreadable):
        encryption.open("secrets", "secrets/a", sealed[:-3])


def test_a_value_in_cbc_is_what_the_original_writes() -> None:
    sealed = b"k8s:enc:aescbc:v1:k:" + bytes(range(16)) + bytes.fromhex("8c2c52a97578ae6d2cae4990921dc09b")
    assert Encryption({"secrets": (Key("k", bytes(32), "aescbc"),)}).open("secrets", "a", sealed) == b"hello"


def test_a_value_moved_to_another_key_or_changed_does_not_open() -> None:
    encryption = Encryption({"secrets": (NEW,)})
    sealed = encryption.seal("secrets", "secrets/shop/a", b"plain text")
    with pytest.raises(Unreadable):
        encryption.open("secrets", "secrets/shop/b", sealed)
    with pytest.raises(Unreadable):
        encryption.open("secrets", "secrets/shop/a", sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(Unreadable):
        Encryption({"secrets": (OLD,)}).open("secrets", "secrets/shop/a", sealed)


async def test_keys_rotate() -> None:
    store = MemoryStore()
    await SealedStore(store, Encryption({"secrets": (OLD,)})).put("secrets/shop/a", b"plain text")
    await store.put("secrets/shop/b", b"never sealed")
    rotating = SealedStore(store, Encryption({"secrets": (NEW, OLD)}))
    assert await rotating.reseal() == 2
    assert await rotating.reseal() == 0
    only_new = SealedStore(store, Encryption({"secrets": (NEW,)}))
    values = (await only_new.list("secrets/")).values
    assert [value.data for value in values] == [b"plain text", b"never sealed"]
    raw = (await store.list("secrets/")).values
    assert all(b"text" not in value.data and b"sealed" not in value.data for value in raw)


async def test_a_server_starts_without_the_old_key_after_a_rotation() -> None:
    store = MemoryStore()
    before = SealedStore(store, Encryption({"secrets": (OLD,)}))
    await before.put(
        "secrets/shop/a", b'{"kind":"Secret","apiVersion":"v1","metadata":{"name":"a","namespace":"shop"}}'
    )
    await SealedStore(store, Encryption({"secrets": (NEW, OLD)})).reseal()
    server = Server(SealedStore(store, Encryption({"secrets": (NEW,)})), VirtualClock())
    await server.start()
    assert server.reader.get(SECRET, "shop", "a") is not None
    await server.close()


async def test_a_sealed_store_tells_plain_changes_and_conflicts() -> None:
    store = MemoryStore()
    sealed = SealedStore(store, Encryption({"secrets": (NEW,)}))
    first = await sealed.put("secrets/shop/a", b"one", expect=0)
    await sealed.put("secrets/shop/a", b"two", expect=first)
    with pytest.raises(Conflict) as caught:
        await sealed.put("secrets/shop/a", b"three", expect=first)
    assert caught.value.current.data == b"two"
    async for changes in sealed.watch("secrets/", after=first):
        assert [change.data for change in changes] == [b"two"]
        break
    assert (await sealed.get("secrets/shop/a")).data == b"two"
    second = store.revision
    await sealed.delete("secrets/shop/a", expect=second)
    async for changes in sealed.watch("secrets/", after=second):
        assert [(change.type, change.data) for change in changes] == [("DELETE", b"")]
        break


def test_a_data_directory_makes_its_key_once_and_keeps_it_private(tmp_path: Path) -> None:
    path = tmp_path / "encryption.key"
    sealed = generated(path).seal("secrets", "secrets/a/b", b"x")
    assert path.stat().st_mode & 0o777 == 0o600
    assert generated(path).open("secrets", "secrets/a/b", sealed) == b"x"


def _written(directory: Path, *resources: str, **provider: object) -> Encryption:
    path = directory / "encryption.yaml"
    entry = {"resources": list(resources), "providers": [provider]}
    path.write_text(yaml.safe_dump({"kind": "EncryptionConfiguration", "resources": [entry]}))
    return from_file(path, directory / "encryption.key")


def test_a_file_adds_keys_and_what_was_sealed_before_still_opens(tmp_path: Path) -> None:
    sealed = generated(tmp_path / "encryption.key").seal("secrets", "secrets/a/b", b"x")
    key = {"name": "k1", "secret": base64.b64encode(b"k" * 32).decode()}
    for resources in (("secrets",), ("configmaps",)):
        encryption = _written(tmp_path, *resources, aesgcm={"keys": [key]})
        assert encryption.open("secrets", "secrets/a/b", sealed) == b"x"
        assert encryption.seal(resources[0], "k", b"x").startswith(b"k8s:enc:aesgcm:v1:k1:")
    plain = _written(tmp_path, "secrets", identity={})
    assert (plain.seal("secrets", "secrets/a/b", b"x"), plain.is_current("secrets", sealed)) == (b"x", False)


@pytest.mark.parametrize(
    ("resource", "provider", "problem"),
    [
        ("*", {"identity": {}}, "is no wildcard"),
        ("*secrets.apps", {"identity": {}}, "is no wildcard"),
        ("*.*.apps", {"identity": {}}, "is no wildcard"),
        ("secrets", {"secretbox": {"keys": [{"name": "k", "secret": "eA=="}]}}, "must have 32 bytes"),
        ("secrets", {"aesgcm": {"keys": [{"name": "k", "secret": "?"}]}}, "not in base64"),
        ("secrets", {"aesgcm": {"keys": [{"name": "k", "secret": "eA=="}]}}, "16, 24 or 32 bytes"),
    ],
)
def test_a_file_that_cannot_be_is_refused(tmp_path: Path, resource: str, provider: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        _written(tmp_path, resource, **provider)  # type: ignore[arg-type]


def test_a_configuration_names_resources_and_keys() -> None:
    secret = base64.b64encode(b"k" * 32).decode()
    providers = [{"aesgcm": {"keys": [{"name": "k1", "secret": secret}]}}, {"identity": {}}]
    encryption = configured({"resources": [{"resources": ["secrets", "widgets.example.com"], "providers": providers}]})
    assert encryption.prefixes == ("secrets/", "example.com/widgets/")
    assert encryption.seal("secrets", "secrets/a/b", b"x").startswith(b"k8s:enc:aesgcm:v1:k1:")
    with pytest.raises(ValueError, match="not supported"):
        configured({"resources": [{"resources": ["secrets"], "providers": [{"rot13": {}}]}]})


def _rules(*rules: tuple[str, str]) -> Encryption:
    """Rules of one resource and one key each, named alike."""
    resources = [
        {"resources": [resource], "providers": [{"aesgcm": {"keys": [{"name": name, "secret": "a" * 43 + "="}]}}]}
        if name
        else {"resources": [resource], "providers": [{"identity": {}}]}
        for resource, name in rules
    ]
    return configured({"resources": resources})


@pytest.mark.parametrize(
    ("key", "storage", "name"),
    [
        ("events/shop/a", "events", ""),
        ("secrets/shop/a", "secrets", "core"),
        ("namespaces/shop", "namespaces", "core"),
        ("apps/deployments/shop/a", "apps/deployments", "apps"),
        ("batch/jobs/shop/a", "batch/jobs", "rest"),
        ("rbac.authorization.k8s.io/clusterroles/admin", "rbac.authorization.k8s.io/clusterroles", "rest"),
        ("example.com/widgets/shop/a", "example.com/widgets", "rest"),
    ],
)
def test_the_first_rule_that_covers_a_resource_is_the_one(key: str, storage: str, name: str) -> None:
    encryption = _rules(("events", ""), ("*.", "core"), ("*.apps", "apps"), ("*.*", "rest"))
    assert storage_of(key) == storage
    sealed = encryption.seal(storage, key, b"x")
    assert sealed.startswith(f"k8s:enc:aesgcm:v1:{name}:".encode()) if name else sealed == b"x"


@pytest.mark.parametrize(
    "rules", [("*.*", "secrets"), ("*.apps", "deployments.apps"), ("*.", "secrets"), ("*.*", "*.apps")]
)
def test_a_rule_behind_a_wildcard_that_covers_it_is_refused(rules: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="covered by a wildcard"):
        _rules(*((one, "k") for one in rules))
    assert _rules(*((one, "k") for one in reversed(rules)))


async def test_everything_is_encrypted_again_under_a_wildcard() -> None:
    store = MemoryStore()
    for number in range(1100):
        await store.put(f"pods/shop/{number:04}", b"plain")
    await store.put("example.com/widgets/shop/a", b"plain")
    sealed = SealedStore(store, _rules(("*.*", "k")))
    assert await sealed.reseal() == 1101
    assert await sealed.reseal() == 0
    assert all(value.data.startswith(b"k8s:enc:aesgcm:v1:k:") for value in (await store.list("")).values)
    assert {value.data for value in (await sealed.list("")).values} == {b"plain"}


async def test_what_was_sealed_is_not_taken_for_an_object_when_its_rule_is_gone() -> None:
    store = MemoryStore()
    await SealedStore(store, Encryption({"configmaps": (NEW,)})).put("configmaps/shop/a", b"plain text")
    with pytest.raises(Unreadable, match=r"configmaps/shop/a: no matching key 'aesgcm:v1:new'"):
        await SealedStore(store, Encryption({"secrets": (NEW,)})).list("configmaps/")


def test_a_secretbox_is_what_the_original_writes() -> None:
    """The example of "Cryptography in NaCl", section 9."""
    key = bytes.fromhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
    nonce = bytes.fromhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
    text = bytes.fromhex(
        "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01"
        "233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd"
        "4924ca1c60902e52f0a089bc76897040e082f937763848645e0705"
    )
    box = bytes.fromhex(
        "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186ac0dfc17c"
        "98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae90224368517acfea"
        "bd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74e355a5"
    )
    stored = b"k8s:enc:secretbox:v1:k:" + nonce + box
    assert Encryption({"secrets": (Key("k", key, "secretbox"),)}).open("secrets", "a", stored) == text
