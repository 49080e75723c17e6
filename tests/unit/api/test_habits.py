"""Habits of kinds at deletion and replacement, which clients know by heart."""

from mizzen.api.kinds import KINDS


def test_what_is_answered_to_a_deletion() -> None:
    assert {kind.plural for kind in KINDS if kind.returns_deleted} == {
        *("csidrivers", "csinodes", "csistoragecapacities", "storageclasses", "volumeattachments"),
        *("volumeattributesclasses", "namespaces", "persistentvolumeclaims", "persistentvolumes", "pods"),
        *("podtemplates", "resourcequotas", "serviceaccounts", "services"),
    }


def test_what_a_put_may_create() -> None:
    assert {kind.plural for kind in KINDS if kind.create_on_update} == {
        *("endpoints", "events", "leases", "limitranges", "services"),
        *("roles", "rolebindings", "clusterroles", "clusterrolebindings"),
    }
