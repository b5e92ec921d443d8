"""Random pod templates as the API server accepts them, for property tests of patches."""

from typing import Any

from hypothesis import strategies as st

from sre_agent.objects import Object

NAMES = ["alpha", "beta", "gamma", "delta"]
_TEXT = st.sampled_from(["", "a", "b", "on", "1"])
_QUANTITIES = st.sampled_from(["32Mi", "64Mi", "100m", "1"])
_MAPS = st.dictionaries(st.sampled_from(["app", "team", "tier"]), _TEXT, max_size=3)


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({}, optional=fields)


def _with_key(key: str, values: st.SearchStrategy[Any], content: st.SearchStrategy[Object]) -> Any:
    """A list of objects with distinct keys, in any order."""
    keys = st.lists(values, unique=True, max_size=3)
    return keys.flatmap(lambda found: st.tuples(*(content.map(lambda c, k=k: {key: k, **c}) for k in found)).map(list))


_RESOURCES = _optional(limits=st.dictionaries(st.sampled_from(["memory", "cpu"]), _QUANTITIES, max_size=2))
_ENV = st.one_of(
    _TEXT.map(lambda text: {"value": f"v{text}"}),
    st.just({"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}),
)
_PROBES = st.one_of(
    st.just({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}}),
    st.just({"tcpSocket": {"port": 80}}),
    st.just({"exec": {"command": ["true"]}}),
)
_PORTS = st.lists(
    st.fixed_dictionaries(
        {"containerPort": st.sampled_from([53, 80, 443]), "protocol": st.sampled_from(["TCP", "UDP"])}
    ),
    unique_by=lambda port: (port["containerPort"], port["protocol"]),
    max_size=3,
)
_VOLUME_SOURCES = st.one_of(
    st.just({"emptyDir": {}}),
    st.just({"emptyDir": {"medium": "Memory"}}),
    st.just({"configMap": {"name": "settings", "defaultMode": 420}}),
    st.just({"hostPath": {"path": "/var/log", "type": ""}}),
)
_COMMON = {
    "command": st.lists(_TEXT, min_size=1, max_size=2),
    "args": st.lists(_TEXT, min_size=1, max_size=3),
    "env": _with_key("name", st.sampled_from(["MODE", "LEVEL", "HOST"]), _ENV),
    "ports": _PORTS,
    "resources": _RESOURCES,
}


def _containers(names: list[str], **more: st.SearchStrategy[Any]) -> Any:
    content = st.fixed_dictionaries(
        {"image": st.sampled_from(["web:1", "web:2", "proxy:1"])}, optional={**_COMMON, **more}
    )
    return _with_key("name", st.sampled_from(names), content)


POD_TEMPLATES: st.SearchStrategy[Object] = st.fixed_dictionaries(
    {
        "metadata": _optional(labels=_MAPS, annotations=_MAPS),
        "spec": st.fixed_dictionaries(
            {"containers": _containers(NAMES[:3], livenessProbe=_PROBES).filter(bool)},
            optional={
                "initContainers": _containers(["init-a", "init-b"]),
                "volumes": _with_key("name", st.sampled_from(["data", "logs"]), _VOLUME_SOURCES),
                "nodeSelector": _MAPS,
                "tolerations": st.lists(
                    st.fixed_dictionaries({"key": _TEXT.map(lambda t: f"k{t}"), "operator": st.just("Exists")}),
                    max_size=2,
                ),
                "imagePullSecrets": _with_key("name", st.sampled_from(NAMES), st.just({})),
                "terminationGracePeriodSeconds": st.sampled_from([10, 30]),
            },
        ),
    }
)
