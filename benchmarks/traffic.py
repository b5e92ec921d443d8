"""What the server's benchmark sends: alerts of the usual size, over connections that cost next to nothing to keep busy.

Called by `serve.py`. A client that costs as much as the server would halve what two cores can show of the server, so
this one speaks just enough HTTP.
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Self

NUMBER = "@NUMBER@"
ALERT = {
    "status": "firing",
    "labels": {
        "alertname": "KubePodOOMKilled",
        "cluster_zone": "eu-central-1",
        "container": "app",
        "endpoint": "http",
        "instance": "10.244.3.17:8080",
        "job": "kube-state-metrics",
        "namespace": "team-7",
        "pod": f"checkout-6f7c9d8b54-{NUMBER}",
        "prometheus": "monitoring/kube-prometheus-stack-prometheus",
        "service": "kube-prometheus-stack-kube-state-metrics",
        "severity": "warning",
        "uid": "7f0f8f2e-9f3c-4a8e-8d0e-6f2b1c3d4e5f",
    },
    "annotations": {
        "description": f"Container app of pod team-7/checkout-6f7c9d8b54-{NUMBER} was killed because it used more "
        "memory than its limit allows. It was restarted 3 times within the last 10 minutes. If this happens under "
        "the usual load the limit is too small; if memory grows for hours before it happens, the program leaks. See "
        "container_memory_working_set_bytes over a day with the limit before you raise it, and look at the releases of "
        "that day first.",
        "runbook_url": "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodoomkilled",
        "summary": "Container was killed for using more memory than its limit.",
    },
    "startsAt": "2026-11-28T10:00:00.000Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "fingerprint": f"a3f1c5d7e9{NUMBER}",
    "generatorURL": "https://prometheus.example.com/graph?g0.expr=kube_pod_container_status_last_terminated_reason"
    "%7Breason%3D%22OOMKilled%22%7D+%3D%3D+1&g0.tab=1",
}
GROUP = {
    "version": "4",
    "groupKey": '{}/{severity="warning"}:{alertname="KubePodOOMKilled"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "sre-agent",
    "groupLabels": {"alertname": "KubePodOOMKilled"},
    "commonLabels": {"alertname": "KubePodOOMKilled", "severity": "warning"},
    "commonAnnotations": {},
    "externalURL": "https://alertmanager.example.com",
}
_NUMBERS = count(1)


def bodies(alerts: int) -> Iterator[bytes]:
    """Webhook bodies without end, each with so many alerts that were never sent before."""
    one = json.dumps(ALERT)
    head, tail = json.dumps({**GROUP, "alerts": ["@"]}).split('"@"')
    while True:
        each = (one.replace(NUMBER, f"{next(_NUMBERS):06d}") for _ in range(alerts))
        yield f"{head}{','.join(each)}{tail}".encode()


@dataclass(kw_only=True)
class Line:
    """One kept connection to a server on this machine."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def to(cls, port: int) -> Self:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return cls(reader=reader, writer=writer)

    async def post(self, body: bytes) -> int:
        head = f"POST /alertmanager HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        return await self._answer(head.encode() + body)

    async def get(self, path: str) -> int:
        return await self._answer(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    async def _answer(self, request: bytes) -> int:
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        await self.reader.readexactly(int(length or 0))
        return int(head[9:12])


@dataclass(kw_only=True)
class Traffic:
    """What was answered to a sender: the status codes, and how long each took in seconds."""

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    alerts: int = 0
    """In bodies that were answered with 200."""
    took: float = 0.0

    def add(self, status: int, seconds: float, alerts: int) -> None:
        self.statuses.append(status)
        self.seconds.append(seconds)
        self.alerts += alerts if status == 200 else 0

    def percentile(self, percent: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    @property
    def rate(self) -> float:
        return self.alerts / self.took


async def at_rate(port: int, rate: float, seconds: float) -> Traffic:
    """One-alert webhooks at a fixed rate. Each is timed from when it was due: who waits in line is not left out."""
    traffic, source, free, under_way = Traffic(), bodies(1), [await Line.to(port)], set()
    began = time.perf_counter()

    async def send(body: bytes, due: float) -> None:
        line = free.pop() if free else await Line.to(port)
        status = await line.post(body)
        free.append(line)
        traffic.add(status, time.perf_counter() - due, 1)

    for number in range(int(rate * seconds)):
        due, body = began + number / rate, next(source)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(send(body, due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    traffic.took = time.perf_counter() - began
    return traffic


async def as_fast_as_it_goes(port: int, connections: int, alerts: int, seconds: float, traffic: Traffic) -> None:
    """Webhooks of so many alerts, on each connection the next one when the last is answered."""
    source = bodies(alerts)
    lines = [await Line.to(port) for _ in range(connections)]
    began = time.perf_counter()

    async def keep_busy(line: Line) -> None:
        while (sent := time.perf_counter()) < began + seconds:
            status = await line.post(next(source))
            traffic.add(status, time.perf_counter() - sent, alerts)

    await asyncio.gather(*(keep_busy(line) for line in lines))
    traffic.took = time.perf_counter() - began


async def longest_silence(port: int, until: Callable[[], bool], pause: float) -> float:
    """How long /livez took at most, asked again and again: for so long nothing else was done on the event loop."""
    line, longest = await Line.to(port), 0.0
    while not until():
        sent = time.perf_counter()
        await line.get("/livez")
        longest = max(longest, time.perf_counter() - sent)
        await asyncio.sleep(pause)
    return longest
