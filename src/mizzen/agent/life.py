"""The values of a pod's life on a node: its state, what can happen to it, and what it asks to be done.

`mizzen.agent.lifecycle` decides with them; `mizzen.agent.pods` carries out; `mizzen.agent.podstatus` shows them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mizzen.agent.runtime.base import ProcessUser
from mizzen.api.views.podspec import Container, Pod

Role = Literal["init", "sidecar", "main", "ephemeral"]
Phase = Literal["waiting", "pulling", "starting", "running", "exited"]
SANDBOX_CHANGED = ("SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
"""Reason and message of the event about a pod that begins anew because what its containers share is gone."""


@dataclass(frozen=True, slots=True)
class Termination:
    """How a container ended; times are seconds since the epoch."""

    id: str
    code: int
    reason: str
    message: str
    started_at: float
    finished_at: float
    signal: int = 0


@dataclass(frozen=True, slots=True)
class Stopping:
    """A running container that is on its way out: by when it must have ended, and how far that has come."""

    why: str
    deadline: float
    hook: Literal["none", "running", "done"] = "none"
    signalled: float | None = None
    """The deadline that was given with the last stop instruction; a nearer one is given again."""


@dataclass(frozen=True, slots=True)
class ContainerLife:
    """One container of a pod over all of its attempts."""

    name: str
    role: Role
    phase: Phase = "waiting"
    attempt: int = 0
    """Number of the present attempt, or of the next one while nothing has started."""
    begun: bool = False
    """Whether any attempt has ever started."""
    id: str = ""
    image: str = ""
    """What the specification called the image of the present attempt."""
    image_id: str = ""
    pulled: bool = False
    reason: str = ""
    message: str = ""
    """Why it is waiting, when that has a reason of its own."""
    failure: str = ""
    """Why the last pull failed, shown along with the back-off."""
    refused: str = ""
    """What was to be pulled then, if that was not its own image."""
    started_at: float = 0.0
    hooked: bool = False
    """The post-start hook, if any, is done."""
    started: bool = False
    ready: bool = False
    ended: Termination | None = None
    last: Termination | None = None
    early: Termination | None = None
    """An end that was seen before the answer of its own start."""
    crash_delay: float = 0.0
    crash_at: float = 0.0
    pull_delay: float = 0.0
    retry_at: float = 0.0
    flip_at: float = 0.0
    """When ErrImagePull turns into ImagePullBackOff."""
    stopping: Stopping | None = None
    resources: object = None
    """The resources this attempt runs with."""
    resizing: bool = False
    unresized: str = ""
    """Why the last attempt to give it new resources failed."""
    resize_at: float = 0.0
    """When that is tried again."""
    user: ProcessUser | None = None
    stop_signal: str = ""
    again: bool = False
    """It is restarted whatever its exit code: the node itself ends it for that."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a pod ends and by when its containers must have; empty reason: it was deleted, or has run its course."""

    reason: str
    message: str
    deadline: float
    deleted: bool = False
    removed: bool = False
    """The object is gone from the API already."""
    rejected: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """Everything that decides what to do next with one pod."""

    pod: Pod
    containers: Mapping[str, ContainerLife]
    volumes: Literal["none", "mounting", "mounted", "unmounting", "gone"] = "none"
    sandbox: Literal["none", "opening", "open", "closing", "gone"] = "none"
    sandbox_id: str = ""
    opened: bool = False
    """It was tried to open the sandbox: something may be left of it."""
    ips: tuple[str, ...] = ()
    problem: tuple[str, str] = ("", "")
    """Reason and message of what keeps volumes or sandbox from being ready."""
    retry_at: float = 0.0
    retry_delay: float = 0.0
    initialized: bool = False
    started_at: float = 0.0
    ending: Ending | None = None
    over: Literal["", "Succeeded", "Failed"] = ""
    """The final phase, once every container has ended for good."""
    recalled: bool = False
    """It was over before this agent's time: what the API holds of its containers stands."""
    forgetting: bool = False
    forgotten: bool = False
    resize_refused: tuple[str, str] = ("", "")
    """Reason (Deferred, Infeasible) and message of why the node does not give it the resources it asks for now."""
    given: object = None
    """The resources that the pod as a whole has been given."""
    resizing: bool = False
    unresized: str = ""
    resize_at: float = 0.0
    """As of a container: of what the pod as a whole shall have."""
    longest_crash_delay: float = 300.0
    """Seconds that a container which keeps failing waits at most."""
    restarting_all: bool = False
    """Every container is being ended, so that the pod begins anew in the sandbox it has."""


# What happens


@dataclass(frozen=True, slots=True)
class PodChanged:
    pod: Pod
    resize_refused: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class PodRemoved:
    """The object is gone from the API, or the manifest of a static pod; containers have `grace` seconds to end."""

    grace: float = 1.0


@dataclass(frozen=True, slots=True)
class Rejected:
    """The node cannot take the pod."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Evicted:
    """The node ends the pod; `grace` in seconds."""

    reason: str
    message: str
    grace: float


@dataclass(frozen=True, slots=True)
class VolumesMounted:
    pass


@dataclass(frozen=True, slots=True)
class SandboxOpened:
    id: str
    ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetupFailed:
    """Volumes or sandbox could not be made."""

    what: Literal["volumes", "sandbox"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class SandboxLost:
    """The pod's namespaces are gone, and with them its processes."""


@dataclass(frozen=True, slots=True)
class Pulled:
    name: str
    image_id: str


@dataclass(frozen=True, slots=True)
class PullFailed:
    name: str
    reason: str
    message: str
    image: str = ""
    """What could not be had instead of the container's own image: one that is mounted as a volume."""


@dataclass(frozen=True, slots=True)
class Started:
    name: str
    attempt: int
    id: str
    at: float
    user: ProcessUser | None = None
    stop_signal: str = ""


@dataclass(frozen=True, slots=True)
class StartFailed:
    name: str
    attempt: int
    reason: str
    message: str
    id: str = ""
    """Of the container that came into being but could not run."""


@dataclass(frozen=True, slots=True)
class HookDone:
    name: str
    attempt: int
    hook: Literal["postStart", "preStop"]
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Exited:
    name: str
    attempt: int
    how: Termination


@dataclass(frozen=True, slots=True)
class StopFailed:
    """A container could not be stopped; it is tried again."""

    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe has changed its verdict."""

    name: str
    attempt: int
    probe: Literal["startup", "readiness", "liveness"]
    ok: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Resized:
    name: str
    attempt: int
    resources: object
    failure: str = ""


@dataclass(frozen=True, slots=True)
class PodResized:
    """The pod as a whole has other resources, or could not have them."""

    resources: object
    failure: str = ""


@dataclass(frozen=True, slots=True)
class SandboxClosed:
    pass


@dataclass(frozen=True, slots=True)
class VolumesUnmounted:
    pass


@dataclass(frozen=True, slots=True)
class CleanupFailed:
    what: Literal["volumes", "sandbox"]
    message: str


@dataclass(frozen=True, slots=True)
class ForgetDone:
    """`ok`: the API holds the pod no more and nothing is left of it."""

    ok: bool


@dataclass(frozen=True, slots=True)
class ReferenceChanged:
    """An object of the API that containers, or else volumes, wait for may be what they need now."""

    containers: frozenset[str]
    volumes: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


Happening = (
    PodChanged | PodRemoved | Rejected | Evicted | VolumesMounted | SandboxOpened | SetupFailed | SandboxLost | Pulled
    | PullFailed | Started | StartFailed | HookDone | Exited | StopFailed | Probed | Resized | PodResized
    | SandboxClosed | VolumesUnmounted | CleanupFailed | ForgetDone | ReferenceChanged | Tick
)  # fmt: skip


# What is asked for


@dataclass(frozen=True, slots=True)
class MountVolumes:
    pass


@dataclass(frozen=True, slots=True)
class OpenSandbox:
    pass


@dataclass(frozen=True, slots=True)
class Pull:
    container: Container


@dataclass(frozen=True, slots=True)
class Start:
    container: Container
    attempt: int
    image_id: str


@dataclass(frozen=True, slots=True)
class RunHook:
    container: Container
    attempt: int
    id: str
    hook: Literal["postStart", "preStop"]
    timeout: float = 0.0


@dataclass(frozen=True, slots=True)
class Stop:
    name: str
    attempt: int
    id: str
    grace: float


@dataclass(frozen=True, slots=True)
class Resize:
    container: Container
    attempt: int
    id: str


@dataclass(frozen=True, slots=True)
class ResizePod:
    """Give the pod as a whole the resources that it asks for, in place of those it has been given."""

    given: object


@dataclass(frozen=True, slots=True)
class Discard:
    """Remove a dead container that a newer attempt has replaced, and the logs of those before it."""

    id: str
    name: str
    attempt: int


@dataclass(frozen=True, slots=True)
class CloseSandbox:
    id: str


@dataclass(frozen=True, slots=True)
class UnmountVolumes:
    pass


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove what is left on disk and, when `delete`, the pod from the API."""

    delete: bool


@dataclass(frozen=True, slots=True)
class Emit:
    """An Event for the pod, or for one of its containers."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str
    container: str = ""


Instruction = (
    MountVolumes | OpenSandbox | Pull | Start | RunHook | Stop | Resize | ResizePod | Discard | CloseSandbox
    | UnmountVolumes | Forget | Emit
)  # fmt: skip


def role_of(pod: Pod, container: Container) -> Role:
    """What part a container plays in its pod."""
    if any(one.name == container.name for one in pod.spec.initContainers or ()):
        return "sidecar" if container.restartPolicy == "Always" else "init"
    if any(one.name == container.name for one in pod.spec.ephemeralContainers or ()):
        return "ephemeral"
    return "main"


def all_containers(pod: Pod) -> tuple[Container, ...]:
    """Init containers, containers, ephemeral containers, in the order of the specification."""
    return (*(pod.spec.initContainers or ()), *pod.spec.containers, *(pod.spec.ephemeralContainers or ()))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a decision comes to."""

    life: Life
    instructions: tuple[Instruction, ...] = field(default=())
