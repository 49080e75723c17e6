"""Kinds of the core group."""

from mizzen.api.core.binding import BINDING
from mizzen.api.core.componentstatus import COMPONENT_STATUS
from mizzen.api.core.configmap import CONFIG_MAP
from mizzen.api.core.endpoints import ENDPOINTS
from mizzen.api.core.event import EVENT
from mizzen.api.core.limitrange import LIMIT_RANGE
from mizzen.api.core.namespace import NAMESPACE
from mizzen.api.core.node import NODE
from mizzen.api.core.persistentvolume import PERSISTENT_VOLUME
from mizzen.api.core.persistentvolumeclaim import PERSISTENT_VOLUME_CLAIM
from mizzen.api.core.pod import POD
from mizzen.api.core.podtemplate import POD_TEMPLATE
from mizzen.api.core.replicationcontroller import REPLICATION_CONTROLLER
from mizzen.api.core.resourcequota import RESOURCE_QUOTA
from mizzen.api.core.secret import SECRET
from mizzen.api.core.service import SERVICE
from mizzen.api.core.serviceaccount import SERVICE_ACCOUNT
from mizzen.api.kind import Kind

KINDS: tuple[Kind, ...] = (
    BINDING,
    COMPONENT_STATUS,
    CONFIG_MAP,
    ENDPOINTS,
    EVENT,
    LIMIT_RANGE,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    PERSISTENT_VOLUME,
    POD,
    POD_TEMPLATE,
    REPLICATION_CONTROLLER,
    RESOURCE_QUOTA,
    SECRET,
    SERVICE_ACCOUNT,
    SERVICE,
)
