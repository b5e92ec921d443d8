"""Plain requests to an API server, for what a test prepares and looks up itself. Standard library only.

It is independent of the agent's own client, so that a fault there cannot hide itself.
"""

import base64
import http.client
import json
import ssl
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import yaml

Object = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"
OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "generation", "managedFields")
CLUSTERS_OWN = ("default", "kube-system", "kube-public", "kube-node-lease", "local-path-storage")


class ApiError(Exception):
    """The API server answered with an error; `code` is its HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Api:
    """One user's requests to one API server."""

    def __init__(self, server: str, context: ssl.SSLContext, token: str | None) -> None:
        parts = urlsplit(server)
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._connection = http.client.HTTPSConnection(parts.netloc, context=context, timeout=60)
        self._lock = threading.Lock()
        self._kinds: dict[str, dict[str, Object]] = {}

    @classmethod
    def from_kubeconfig(cls, path: Path) -> "Api":
        """The current context of a kubeconfig whose user has a token or a client certificate."""
        config = yaml.safe_load(path.read_text())
        entries = {
            kind: {entry["name"]: entry for entry in config[f"{kind}s"]} for kind in ("context", "cluster", "user")
        }
        chosen = entries["context"][config["current-context"]]["context"]
        cluster, user = entries["cluster"][chosen["cluster"]]["cluster"], entries["user"][chosen["user"]]["user"]
        context = ssl.create_default_context()
        if "certificate-authority-data" in cluster:
            context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        elif "certificate-authority" in cluster:
            context.load_verify_locations(path.parent / cluster["certificate-authority"])
        if "client-certificate-data" in user:
            pair = path.with_suffix(".client.pem")
            pair.touch(mode=0o600)
            pair.write_bytes(b"".join(base64.b64decode(user[f"client-{half}-data"]) for half in ("certificate", "key")))
            context.load_cert_chain(pair)
            pair.unlink()
        elif "client-certificate" in user:
            context.load_cert_chain(path.parent / user["client-certificate"], path.parent / user["client-key"])
        return cls(cluster["server"], context, user.get("token"))

    def close(self) -> None:
        self._connection.close()

    def request(self, method: str, path: str, body: Any = None, *, kind: str = "application/json") -> Any:
        """The decoded answer; raises ApiError for an error status."""
        code, answer = self.raw(method, path, None if body is None else json.dumps(body), kind)
        if code >= 400:
            try:
                message = json.loads(answer).get("message", "")
            except ValueError:
                message = answer.decode(errors="replace")
            raise ApiError(code, f"{method} {path}: {message}")
        return json.loads(answer)

    def raw(self, method: str, path: str, body: str | None = None, kind: str = "application/json") -> tuple[int, bytes]:
        """Status and body as they come. A connection that the server closed meanwhile is opened again once."""
        headers = self._headers | ({"Content-Type": kind} if body is not None else {})
        with self._lock:
            try:
                return self._exchange(method, path, body, headers)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                return self._exchange(method, path, body, headers)

    def _exchange(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise

    def path_of(self, obj: Object) -> str:
        """Where an object of this apiVersion, kind, namespace and name lives."""
        metadata = obj["metadata"]
        return self.path(obj["apiVersion"], obj["kind"], metadata.get("namespace"), metadata["name"])

    def path(self, api_version: str, kind: str, namespace: str | None = None, name: str | None = None) -> str:
        """The path of a kind, of one namespace or all, or of one object."""
        resource = self._resources(api_version)[kind]
        if resource["namespaced"] and namespace is None and name is not None:
            namespace = "default"
        prefix = _prefix(api_version) + (
            f"/namespaces/{quote(namespace)}" if resource["namespaced"] and namespace else ""
        )
        return f"{prefix}/{resource['name']}" + (f"/{quote(name)}" if name else "")

    def get(self, api_version: str, kind: str, namespace: str | None, name: str) -> Object:
        found: Object = self.request("GET", self.path(api_version, kind, namespace, name))
        return found

    def find(self, api_version: str, kind: str, namespace: str | None = None, **query: str) -> list[Object]:
        """All objects of a kind; `query` holds labelSelector, fieldSelector and the like."""
        answer = self.request("GET", f"{self.path(api_version, kind, namespace)}?{urlencode(query)}")
        return [{"apiVersion": api_version, "kind": kind, **item} for item in answer["items"]]

    def patch(self, obj: Object, body: Object, *, subresource: str = "", kind: str = MERGE_PATCH) -> Object:
        """A merge patch of the object that `obj` names."""
        changed: Object = self.request("PATCH", self.path_of(obj) + subresource, body, kind=kind)
        return changed

    def delete(self, obj: Object, *, grace: int | None = None) -> None:
        """Delete it; an object that is not there is fine."""
        options = {} if grace is None else {"gracePeriodSeconds": grace}
        self.code("DELETE", self.path_of(obj), options)

    def code(self, method: str, path: str, body: Any = None) -> int:
        """The status alone, of a request that may fail; 404 is an answer too."""
        code, answer = self.raw(method, path, None if body is None else json.dumps(body))
        if code >= 400 and code != http.client.NOT_FOUND:
            raise ApiError(code, f"{method} {path}: {answer.decode(errors='replace')}")
        return code

    def create(
        self, obj: Object, uids: Mapping[str, str] | None = None, *, at_creation: Object | None = None
    ) -> Object:
        """Create an object, its `status` too, and answer what the server made of it.

        `uids` says which uid stands for a recorded one in owner references. `at_creation` is the status that a node
        is registered with.
        """
        given = {key: value for key, value in obj.items() if key != "status"}
        if at_creation:
            given["status"] = at_creation
        given["metadata"] = {key: value for key, value in obj["metadata"].items() if key not in OF_THE_SERVER}
        if uids and "ownerReferences" in given["metadata"]:
            given["metadata"]["ownerReferences"] = [
                owner | {"uid": uids.get(owner["uid"], owner["uid"])} for owner in given["metadata"]["ownerReferences"]
            ]
        made = self.request("POST", self.path(obj["apiVersion"], obj["kind"], obj["metadata"].get("namespace")), given)
        if obj.get("status"):
            made = self.patch(made, {"status": obj["status"]}, subresource="/status")
        return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **made}

    def create_all(self, objects: Iterable[Object]) -> list[Object]:
        """Create objects in this order, owners before what they own: owner references get the new uids."""
        uids: dict[str, str] = {}
        made = []
        for obj in objects:
            made.append(self.create(obj, uids))
            if "uid" in obj["metadata"]:
                uids[obj["metadata"]["uid"]] = made[-1]["metadata"]["uid"]
        return made

    def everything(self) -> dict[str, list[Object]]:
        """The API resources of every group's preferred version, by the prefix of their paths."""
        groups = self.request("GET", "/apis")["groups"]
        versions = ["v1", *(group["preferredVersion"]["groupVersion"] for group in groups)]
        return {_prefix(version): list(self._resources(version).values()) for version in versions}

    def _resources(self, api_version: str) -> dict[str, Object]:
        """The API resources of a group version by kind, subresources left out."""
        if api_version not in self._kinds:
            listed = self.request("GET", _prefix(api_version))["resources"]
            self._kinds[api_version] = {entry["kind"]: entry for entry in listed if "/" not in entry["name"]}
        return self._kinds[api_version]


def _prefix(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
