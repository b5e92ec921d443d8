"""What the API server keeps, read and written past it: for what the API lets nobody do.

Only so an object keeps the uid, the times and the field managers that a recording says, and a revision is forgotten
at a moment that the test chooses. It speaks etcd's JSON gateway. Standard library only.
"""

import base64
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

COMPACTED = "compact_rev_key"
"""Where API servers tell one another what was forgotten; each then drops what its own cache has of it."""


class Etcd:
    """One etcd. Keys are the API server's: `/registry/pods/shop/checkout-1`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)

    def close(self) -> None:
        self._connection.close()

    def put(self, key: str, value: bytes) -> int:
        """Writes a value and answers the revision that it made."""
        return int(self._ask("put", {"key": _coded(key.encode()), "value": _coded(value)})["header"]["revision"])

    def below(self, prefix: str) -> dict[str, bytes]:
        """Every key that begins so, and its value."""
        found = self._ask("range", _range(prefix)).get("kvs", [])
        return {base64.b64decode(entry["key"]).decode(): base64.b64decode(entry["value"]) for entry in found}

    def delete(self, key: str) -> None:
        self._ask("deleterange", {"key": _coded(key.encode())})

    def delete_below(self, prefix: str) -> None:
        self._ask("deleterange", _range(prefix))

    def compact(self) -> None:
        """Forget every revision before this one, and say so as an API server that compacts says to the others."""
        newest = self.put(COMPACTED, b"0")
        self._ask("compaction", {"revision": str(newest), "physical": True})
        self.put(COMPACTED, str(newest).encode())

    def _ask(self, what: str, question: dict[str, Any]) -> Any:
        self._connection.request("POST", f"/v3/kv/{what}", json.dumps(question))
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status != http.client.OK:
            raise RuntimeError(f"etcd answers {answer.status} to {what}: {text.decode(errors='replace')}")
        return json.loads(text)


def _range(prefix: str) -> dict[str, str]:
    """All keys that begin with the prefix: up to the first that comes after them."""
    start = prefix.encode()
    return {"key": _coded(start), "range_end": _coded(start[:-1] + bytes([start[-1] + 1]))}


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode()
