"""One right object of many kinds, for tests that bend them."""

from typing import Any

_POD_SPEC: Any = {
    "containers": [
        {
            "name": "app",
            "image": "registry.test/app:1",
            "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
            "env": [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1"}},
            "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5},
            "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
            "securityContext": {"runAsUser": 1000, "capabilities": {"drop": ["ALL"]}},
        }
    ],
    "initContainers": [{"name": "first", "image": "registry.test/app:1", "command": ["true"]}],
    "volumes": [
        {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
        {"name": "c", "configMap": {"name": "a", "items": [{"key": "k", "path": "p"}]}},
    ],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}],
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["a"]}]},
                }
            ]
        }
    },
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
}
_TEMPLATE: Any = {"metadata": {"labels": {"app": "a"}}, "spec": _POD_SPEC}
_WORKLOAD: Any = {"replicas": 2, "selector": {"matchLabels": {"app": "a"}}, "template": _TEMPLATE}
_RULES: Any = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": ["a"]}]
_SUBJECTS: Any = [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]
_HOOK: Any = {
    "name": "a.example.com",
    "clientConfig": {"url": "https://127.0.0.1:1/x"},
    "rules": [
        {"apiGroups": ["x.example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["things"]}
    ],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "failurePolicy": "Ignore",
}
EXAMPLES: dict[str, Any] = {
    "ConfigMap": {"data": {"a": "1"}, "binaryData": {"b": "AA=="}},
    "Secret": {"type": "Opaque", "data": {"a": "AA=="}, "stringData": {"b": "x"}},
    "Pod": {"metadata": {"labels": {"app": "a"}}, "spec": _POD_SPEC},
    "Service": {
        "spec": {
            "selector": {"app": "a"},
            "type": "NodePort",
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        }
    },
    "Deployment": {"spec": {**_WORKLOAD, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}}},
    "ReplicaSet": {"spec": _WORKLOAD},
    "StatefulSet": {
        "spec": {
            **_WORKLOAD,
            "serviceName": "a",
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "d"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }
            ],
        }
    },
    "DaemonSet": {"spec": {"selector": {"matchLabels": {"app": "a"}}, "template": _TEMPLATE}},
    "ReplicationController": {"spec": {"replicas": 1, "selector": {"app": "a"}, "template": _TEMPLATE}},
    "Job": {"spec": {"completions": 2, "template": {"spec": {**_POD_SPEC, "restartPolicy": "Never"}}}},
    "CronJob": {
        "spec": {
            "schedule": "*/5 * * * *",
            "jobTemplate": {"spec": {"template": {"spec": {**_POD_SPEC, "restartPolicy": "Never"}}}},
        }
    },
    "Namespace": {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}},
    "Node": {
        "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]},
        "status": {"capacity": {"cpu": "4", "memory": "8Gi"}},
    },
    "PersistentVolume": {
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/x"},
            "storageClassName": "s",
        }
    },
    "PersistentVolumeClaim": {
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    },
    "LimitRange": {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "default": {"cpu": "1"}}]}},
    "ResourceQuota": {
        "spec": {
            "hard": {"pods": "1000", "requests.cpu": "1000"},
            "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["x"]}]},
        }
    },
    "ServiceAccount": {"secrets": [{"name": "a"}], "automountServiceAccountToken": False},
    "Endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "EndpointSlice": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"]}],
        "ports": [{"name": "", "port": 80}],
    },
    "Event": {
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "fuzz"},
        "reason": "x",
        "message": "y",
        "type": "Normal",
    },
    "Ingress": {
        "spec": {
            "tls": [{"hosts": ["a.test"], "secretName": "a"}],
            "rules": [
                {
                    "host": "a.test",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "a", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        }
    },
    "NetworkPolicy": {
        "spec": {
            "podSelector": {},
            "ingress": [
                {
                    "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
                    "ports": [{"port": 80, "endPort": 90}],
                }
            ],
        }
    },
    "HorizontalPodAutoscaler": {
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
            "behavior": {"scaleDown": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}},
        }
    },
    "PodDisruptionBudget": {"spec": {"minAvailable": "50%", "selector": {"matchLabels": {"app": "a"}}}},
    "Role": {"rules": _RULES},
    "ClusterRole": {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]},
    "RoleBinding": {
        "subjects": _SUBJECTS,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"},
    },
    "ClusterRoleBinding": {
        "subjects": _SUBJECTS,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
    },
    "StorageClass": {
        "provisioner": "x.example.com/y",
        "parameters": {"a": "b"},
        "allowedTopologies": [{"matchLabelExpressions": [{"key": "z", "values": ["a"]}]}],
    },
    "PriorityClass": {"value": 5, "preemptionPolicy": "Never"},
    "RuntimeClass": {"handler": "crun", "overhead": {"podFixed": {"cpu": "1m"}}},
    "Lease": {"spec": {"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": "2024-01-01T00:00:00.000000Z"}},
    "CustomResourceDefinition": {
        "spec": {
            "group": "x.example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {
                        "status": {},
                        "scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"},
                    },
                    "additionalPrinterColumns": [{"name": "N", "type": "integer", "jsonPath": ".spec.n"}],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "x-kubernetes-validations": [{"rule": "self.n < 10"}],
                                    "properties": {
                                        "n": {"type": "integer", "default": 1},
                                        "l": {"type": "array", "items": {"type": "string", "pattern": "a+"}},
                                    },
                                },
                                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            },
                        }
                    },
                }
            ],
        }
    },
    "ValidatingWebhookConfiguration": {"webhooks": [_HOOK]},
    "MutatingWebhookConfiguration": {"webhooks": [{**_HOOK, "reinvocationPolicy": "IfNeeded"}]},
    "ValidatingAdmissionPolicy": {
        "spec": {
            "failurePolicy": "Ignore",
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": ["x.example.com"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["things"],
                    }
                ]
            },
            "validations": [
                {"expression": "object.spec.n < 5", "messageExpression": "'n is ' + string(object.spec.n)"}
            ],
            "variables": [{"name": "v", "expression": "object.spec"}],
        }
    },
    "ValidatingAdmissionPolicyBinding": {"spec": {"policyName": "a", "validationActions": ["Deny"]}},
    "APIService": {
        "spec": {
            "group": "y.example.com",
            "version": "v1",
            "groupPriorityMinimum": 100,
            "versionPriority": 10,
            "service": {"name": "a", "namespace": "fuzz"},
        }
    },
    "CertificateSigningRequest": {
        "spec": {"request": "AA==", "signerName": "x.example.com/y", "usages": ["client auth"]}
    },
    "FlowSchema": {
        "spec": {
            "priorityLevelConfiguration": {"name": "global-default"},
            "matchingPrecedence": 9000,
            "rules": [
                {
                    "subjects": [{"kind": "Group", "group": {"name": "g"}}],
                    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"]}],
                }
            ],
        }
    },
    "PriorityLevelConfiguration": {
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 5,
                "limitResponse": {"type": "Queue", "queuing": {"queues": 4, "handSize": 2}},
            },
        }
    },
    "SubjectAccessReview": {"spec": {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}}},
    "SelfSubjectAccessReview": {"spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}}},
    "TokenReview": {"spec": {"token": "x.y.z"}},
    "TokenRequest": {"spec": {"audiences": ["a"], "expirationSeconds": 600}},
    "Eviction": {"deleteOptions": {"gracePeriodSeconds": 0}},
    "Binding": {"target": {"kind": "Node", "name": "a"}},
    "Scale": {"spec": {"replicas": 3}},
    "ResourceClaim": {
        "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c", "count": 1}}]}}
    },
    "DeviceClass": {"spec": {"selectors": [{"cel": {"expression": "device.driver == 'x'"}}]}},
    "ServiceCIDR": {"spec": {"cidrs": ["10.200.0.0/16"]}},
    "IPAddress": {"spec": {"parentRef": {"resource": "services", "namespace": "fuzz", "name": "a"}}},
}
