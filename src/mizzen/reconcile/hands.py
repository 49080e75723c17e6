"""Carrying out a plan: slow-start bursts, what each failure means, and doubts about writes that nobody answered."""

import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, assert_never

import orjson

from mizzen.api.views.meta import Partial
from mizzen.client.client import Client, Resource
from mizzen.machinery.errors import ApiError, Object
from mizzen.reconcile.fence import Written
from mizzen.reconcile.plan import (
    Action,
    Answer,
    Create,
    Delete,
    DeleteAll,
    Evict,
    Get,
    Note,
    Patch,
    Plan,
    Review,
    Update,
)

Together = Callable[[Sequence[Awaitable[Any]]], Awaitable[list[Any]]]
"""Wait for several calls; handed in, because simulations run without an event loop."""
Record = Callable[[Note], None]

_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_WIDEST = 100


@dataclass(frozen=True, slots=True)
class Doubt:
    """A write without an answer: it may have happened or not."""

    resource: Resource
    namespace: str
    name: str
    gone: str = ""


@dataclass(slots=True)
class Outcome:
    """How far a plan got."""

    written: list[Written] = field(default_factory=list)
    doubts: list[Doubt] = field(default_factory=list)
    stale: bool = False
    """The world was not as seen: look again."""
    error: Exception | None = None

    @property
    def failed(self) -> bool:
        return self.stale or self.error is not None


class Hands:
    """Acts on the API for one controller."""

    def __init__(self, client: Client, rng: random.Random, record: Record, together: Together) -> None:
        self._client = client
        self._rng = rng
        self._record = record
        self._together = together

    async def carry_out(self, plan: Plan) -> Outcome:
        """Do it all in order, until something fails."""
        outcome = Outcome()
        for batch in _batches(plan.actions):
            results = await self._together([self._act(self._named(action), outcome) for action in batch])
            failures = [(action, error) for action, error in zip(batch, results, strict=True) if error is not None]
            if failures:
                await self._fall_back(failures, outcome)
                break
        for note in plan.notes:
            self._record(note)
        return outcome

    async def ask(self, questions: Sequence[Get]) -> dict[Get, Answer]:
        """The answers to all questions."""
        answers = await self._together([self._answer(question) for question in questions])
        return dict(zip(questions, answers, strict=True))

    async def resolve(self, doubt: Doubt) -> Written | None:
        """What became of a doubtful write; None when it did not happen. Raises ApiError, ConnectionError."""
        try:
            seen = await self._client.get(doubt.resource, doubt.name, doubt.namespace, view=Partial)
        except ApiError as error:
            if error.code != 404:
                raise
            return Written(doubt.resource, doubt.namespace, doubt.name, gone=doubt.gone) if doubt.gone else None
        return Written(doubt.resource, doubt.namespace, doubt.name, int(seen.metadata.resourceVersion or 0))

    async def _answer(self, question: Get) -> Answer:
        try:
            if isinstance(question, Review):
                body = await self._client.raw("POST", question.path, question.query, orjson.loads(question.body))
            else:
                body = await self._client.raw("GET", question.path, question.query)
        except ApiError as error:
            return Answer(error.code, error.message)
        except ConnectionError as error:
            return Answer(0, str(error))
        return Answer(200, body)

    async def _fall_back(self, failures: list[tuple[Action, Exception]], outcome: Outcome) -> None:
        action, error = next(((one, why) for one, why in failures if not _is_stale(why)), failures[0])
        for other in () if _is_stale(error) else action.otherwise:
            again = await self._act(_with_error(other, _message(error)), outcome)
            if again is not None and outcome.error is None and not isinstance(again, ApiError):
                outcome.error = again
        if any(not _is_stale(error) for _, error in failures):
            outcome.error = outcome.error or next(error for _, error in failures if not _is_stale(error))
        outcome.stale = True

    def _named(self, action: Action) -> Action:
        if not isinstance(action, Create):
            return action
        meta = action.body["metadata"]
        if meta.get("name") or not meta.get("generateName"):
            return action
        suffix = "".join(self._rng.choices(_ALPHABET, k=5))
        named = {**meta, "name": f"{meta['generateName'][:58]}{suffix}"}
        return replace(action, body={**action.body, "metadata": named})

    async def _act(self, action: Action, outcome: Outcome) -> Exception | None:
        """Do one thing; answers what went wrong."""
        namespace, name = action.target
        try:
            answer = await self._call(action)
        except ApiError as error:
            if isinstance(action, Delete | Evict | DeleteAll) and error.code == 404:
                return None
            if not _is_stale(error):
                self._note(action.failed, name, error)
            return error
        except ConnectionError as error:
            gone = action.uid if isinstance(action, Delete | Evict) else ""
            if name:
                outcome.doubts.append(Doubt(action.resource, namespace, name, gone))
            return error
        if isinstance(action, Delete | Evict):
            if action.uid:
                outcome.written.append(Written(action.resource, namespace, name, gone=action.uid))
        elif answer is not None:
            meta = answer["metadata"]
            name = meta.get("name", name)
            outcome.written.append(Written(action.resource, namespace, name, int(meta.get("resourceVersion") or 0)))
        self._note(action.note, name, None)
        return None

    async def _call(self, action: Action) -> Object | None:
        client = self._client
        namespace, name = action.target
        match action:
            case Create():
                return await client.create(action.resource, action.body, namespace)
            case Patch():
                return await client.patch(
                    action.resource,
                    name,
                    _with_preconditions(action),
                    namespace,
                    type=action.type,
                    subresource=action.subresource,
                )
            case Update():
                return await client.update(action.resource, action.body, subresource=action.subresource)
            case Delete():
                await client.delete(
                    action.resource,
                    name,
                    namespace,
                    uid=action.uid,
                    resource_version=action.resource_version,
                    propagation=action.propagation,
                    grace_seconds=action.grace_seconds,
                )
                return None
            case Evict():
                await client.create(action.resource, _eviction(action), namespace, name=name, subresource="eviction")
                return None
            case DeleteAll():
                await client.raw("DELETE", action.resource.path(namespace))
                return None
        assert_never(action)

    def _note(self, note: Note | None, name: str, error: Exception | None) -> None:
        if note is not None:
            text = note.message.replace("{name}", name).replace("{error}", _message(error) if error else "")
            self._record(replace(note, message=text))


def _is_stale(error: Exception) -> bool:
    """Whether the failure only says that the world has moved on."""
    return isinstance(error, ApiError) and (error.code == 404 or error.reason in ("Conflict", "AlreadyExists"))


def _message(error: Exception) -> str:
    return error.message if isinstance(error, ApiError) else str(error)


def _batches(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    """Neighbours of one sort and resource together; creates in bursts of 1, 2, 4, … so that a refusal costs little."""
    for _, group in groupby(actions, lambda action: (type(action), action.resource)):
        batch = list(group)
        size = 1 if isinstance(batch[0], Create) else _WIDEST
        while batch:
            yield batch[:size]
            batch, size = batch[size:], min(size * 2, _WIDEST)


def _with_preconditions(action: Patch) -> Object | Sequence[Object]:
    if not isinstance(action.patch, dict) or not (action.uid or action.resource_version):
        return action.patch
    meta = dict(action.patch.get("metadata") or {})
    if action.uid:
        meta["uid"] = action.uid
    if action.resource_version:
        meta["resourceVersion"] = action.resource_version
    return {**action.patch, "metadata": meta}


def _with_error(action: Action, message: str) -> Action:
    if isinstance(action, Patch):
        return replace(action, patch=_filled(action.patch, message))
    return action


def _filled(value: Any, message: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, message) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(one, message) for one in value]
    return value.replace("{error}", message) if isinstance(value, str) else value


def _eviction(action: Evict) -> Object:
    body: Object = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": action.name, "namespace": action.namespace},
    }
    if action.uid:
        body["deleteOptions"] = {"preconditions": {"uid": action.uid}}
    return body
