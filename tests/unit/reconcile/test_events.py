"""Events through a real API server in memory: repeats are counted on one object, in either form."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from mizzen.base.clock import SystemClock
from mizzen.client.client import Client
from mizzen.client.inprocess import InProcessTransport
from mizzen.client.resources import EVENTS, NAMESPACES
from mizzen.machinery.identity import MASTERS, Identity
from mizzen.reconcile.events import Recorder
from mizzen.reconcile.plan import Note, Reference
from mizzen.server.server import Server
from mizzen.store.memory import MemoryStore

POD = Reference("v1", "Pod", "default", "web", "u-1", "7", "spec.containers{c}")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    server = Server(MemoryStore(), SystemClock())
    await server.start()
    made = Client(InProcessTransport(server.handle, Identity("tester", groups=(MASTERS,))))
    await made.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    yield made
    await server.close()


async def written(client: Client, *notes: Note) -> list[dict[str, Any]]:
    """The events that notes lead to, in the order of their names."""
    recorder = Recorder(client, SystemClock(), random.Random(1), "kubelet", "node-1")
    task = asyncio.create_task(recorder.run())
    for note in notes:
        recorder.record(note)
    async with asyncio.timeout(5):
        while True:
            listed = (await client.list(EVENTS, "default", view=dict)).items
            counted = sum((one.get("series") or {}).get("count") or one.get("count") or 1 for one in listed)
            if counted == len(notes):
                break
            await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return sorted(listed, key=lambda one: str(one["metadata"]["name"]))


async def test_repeats_are_counted_whatever_state_of_the_object_they_are_about(client: Client) -> None:
    later = Reference("v1", "Pod", "default", "web", "u-1", "8", "spec.containers{c}")
    (event,) = await written(client, Note(POD, "Pulled", "there"), Note(later, "Pulled", "there"))
    assert event["count"] == 2
    assert event["involvedObject"] == {
        "apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": "web", "uid": "u-1",
        "fieldPath": "spec.containers{c}",
    }  # fmt: skip
    assert event["source"] == {"component": "kubelet", "host": "node-1"}


async def test_names_sort_as_things_happened(client: Client) -> None:
    notes = [Note(POD, "Started", str(number)) for number in range(9)]
    assert [event["message"] for event in await written(client, *notes)] == [note.message for note in notes]


async def test_who_reports_an_action_reports_a_series(client: Client) -> None:
    note = Note(POD, "FailedScheduling", "no room", "Warning", "Scheduling")
    (event,) = await written(client, note, note, note)
    assert (event["action"], event["series"]["count"]) == ("Scheduling", 3)
    assert event["eventTime"] and not event.get("count") and not event.get("lastTimestamp")
    assert event["reportingInstance"] == "kubelet-node-1"
