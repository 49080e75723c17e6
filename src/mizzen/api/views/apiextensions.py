"""Views of apiextensions.k8s.io/v1 and apiregistration.k8s.io/v1."""

from mizzen.api.views.meta import Condition, ObjectMeta, View


class Names(View, frozen=True, gc=False):
    plural: str = ""
    kind: str = ""


class Version(View, frozen=True, gc=False):
    name: str = ""
    served: bool = False
    storage: bool = False


class CustomResourceDefinitionSpec(View, frozen=True, gc=False):
    group: str = ""
    names: Names = Names()
    scope: str = "Namespaced"
    versions: tuple[Version, ...] = ()


class CustomResourceDefinitionStatus(View, frozen=True, gc=False):
    conditions: tuple[Condition, ...] = ()
    storedVersions: tuple[str, ...] = ()


class CustomResourceDefinition(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: CustomResourceDefinitionSpec = CustomResourceDefinitionSpec()
    status: CustomResourceDefinitionStatus = CustomResourceDefinitionStatus()


class ServiceReference(View, frozen=True, gc=False):
    name: str = ""
    namespace: str = ""


class APIServiceSpec(View, frozen=True, gc=False):
    group: str = ""
    version: str = ""
    service: ServiceReference | None = None


class APIServiceStatus(View, frozen=True, gc=False):
    conditions: tuple[Condition, ...] = ()


class APIService(View, frozen=True, gc=False):
    metadata: ObjectMeta = ObjectMeta()
    spec: APIServiceSpec = APIServiceSpec()
    status: APIServiceStatus = APIServiceStatus()
