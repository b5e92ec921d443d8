"""A cluster whose reads are remembered: every object, log, absence and failure that it handed out, in order.

Put between a run and its cluster by `testimony`; `recollection` answers from it later. It changes no answer and no
write. What is remembered is the cluster as it was before the run's own writes: a question that was answered before
the first of them is not remembered again after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from sre_agent.cluster.port import Cluster, ClusterError, Conflict, Resource, UnknownOutcome, Write
from sre_agent.objects import Object, name, namespace, resource_version, uid

Selectors = tuple[tuple[str, str], ...]


class Look(StrEnum):
    """The three ways of reading."""

    GET = "get"
    LIST = "list"
    LOG = "log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One read as it was asked for. `container` and `previous` belong to a log, whose pod is `name`."""

    look: Look
    resource: Resource
    namespace: str | None
    name: str | None = None
    labels: Selectors = ()
    fields: Selectors = ()
    container: str | None = None
    previous: bool = False

    @classmethod
    def get(cls, resource: Resource, namespace: str | None, name: str) -> Self:
        return cls(look=Look.GET, resource=resource, namespace=namespace, name=name)

    @classmethod
    def list(
        cls,
        resource: Resource,
        namespace: str | None,
        labels: Mapping[str, str] | None,
        fields: Mapping[str, str] | None,
    ) -> Self:
        return cls(
            look=Look.LIST,
            resource=resource,
            namespace=namespace,
            labels=tuple(sorted((labels or {}).items())),
            fields=tuple(sorted((fields or {}).items())),
        )

    @classmethod
    def log(cls, namespace: str, pod: str, container: str, *, previous: bool) -> Self:
        return cls(
            look=Look.LOG,
            resource=Resource.PODS,
            namespace=namespace,
            name=pod,
            container=container,
            previous=previous,
        )

    def covers(self, other: "Question") -> bool:
        """Whether an answer to this one says everything that an answer to the other would say."""
        if self == other:
            return True
        whole = self.look is Look.LIST and not self.labels and not self.fields
        everywhere = self.namespace is None or not self.resource.namespaced
        return (
            whole
            and other.look is not Look.LOG
            and self.resource is other.resource
            and (everywhere or self.namespace == other.namespace)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What was handed out: objects, the text of a log, or the error that was raised (NotFound is an absence).

    `late` answers came after the run's own first write. Of a `lost` one only the question is known.
    """

    question: Question
    objects: tuple[Object, ...] = ()
    text: str | None = None
    error: ClusterError | None = None
    late: bool = False
    lost: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A write, or its dry run, that was not accepted. Conflicts are left out: they come from the objects' versions."""

    write: Write
    dry_run: bool
    error: ClusterError


class Witness:
    """The `Cluster` port over another cluster. Holds at most `most` objects; later answers are lost."""

    def __init__(self, cluster: Cluster, *, most: int) -> None:
        self.answers: list[Answer] = []
        self.rejections: list[Rejection] = []
        self._cluster = cluster
        self._room = most
        self._changed = False
        self._newest: dict[tuple[Resource, str, str], Object] = {}

    @property
    def recorded(self) -> bool:
        return self._cluster.recorded

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        question = Question.get(resource, namespace, name)
        try:
            found = await self._cluster.get(resource, namespace, name)
        except ClusterError as error:
            self._remember(question, error=error)
            raise
        self._remember(question, [found])
        return found

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> list[Object]:
        question = Question.list(resource, namespace, labels, fields)
        try:
            found = await self._cluster.list(resource, namespace, labels=labels, fields=fields)
        except ClusterError as error:
            self._remember(question, error=error)
            raise
        self._remember(question, found)
        return found

    async def pod_logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 200
    ) -> str:
        question = Question.log(namespace, pod, container, previous=previous)
        try:
            text = await self._cluster.pod_logs(namespace, pod, container, previous=previous, tail_lines=tail_lines)
        except ClusterError as error:
            self._remember(question, error=error)
            raise
        self._remember(question, text=text)
        return text

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        try:
            answer = await self._cluster.write(write, dry_run=dry_run)
        except ClusterError as error:
            if not isinstance(error, Conflict):
                self.rejections.append(Rejection(write=write, dry_run=dry_run, error=error))
            self._changed = self._changed or (isinstance(error, UnknownOutcome) and not dry_run)
            raise
        self._changed = self._changed or not dry_run
        return answer

    async def emit_event(self, event: Object) -> None:
        await self._cluster.emit_event(event)

    async def close(self) -> None:
        await self._cluster.close()

    def _remember(
        self,
        question: Question,
        objects: Sequence[Object] = (),
        *,
        text: str | None = None,
        error: ClusterError | None = None,
    ) -> None:
        if self._changed and any(earlier.question.covers(question) for earlier in self.answers):
            return
        known = len(self._newest)
        held = tuple(self._held(question.resource, obj) for obj in objects)
        self._room -= len(self._newest) - known
        lost = self._room < 0
        self.answers.append(
            Answer(
                question=question,
                objects=() if lost else held,
                text=text,
                error=error,
                late=self._changed,
                lost=lost,
            )
        )

    def _held(self, resource: Resource, obj: Object) -> Object:
        """The object, or the copy of it that is held already, so that three equal lists take the memory of one."""
        key = (resource, namespace(obj), name(obj))
        before = self._newest.get(key)
        if before is not None and _equal(before, obj):
            return before
        self._newest[key] = obj
        return obj


def _equal(one: Object, other: Object) -> bool:
    """One version of one object is one content; only a recording by hand has objects without versions."""
    versions = [(uid(obj), resource_version(obj)) for obj in (one, other)]
    return versions[0] == versions[1] if all(versions[0]) and all(versions[1]) else one == other
