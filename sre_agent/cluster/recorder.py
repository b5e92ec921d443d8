"""A cluster whose reads are recorded: every object, log, absence and failure that it handed out, in order.

Put between a run and its cluster by `kept_evidence`; `playback` answers from what it recorded. It changes no answer
and no write. What is recorded is the cluster as it was before the run's own writes: a question that was answered
before the first of them is not recorded again after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from sre_agent.cluster.port import Cluster, ClusterError, Conflict, Resource, Traffic, UnknownOutcome, Write
from sre_agent.objects import Object, name, namespace, resource_version, uid

Selectors = tuple[tuple[str, str], ...]


class Look(StrEnum):
    """The three ways of reading."""

    GET = "get"
    LIST = "list"
    LOG = "log"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One read as it was asked for. `container`, `previous` and `lines` belong to a log, whose pod is `name`."""

    look: Look
    resource: Resource
    namespace: str | None
    name: str | None = None
    labels: Selectors = ()
    fields: Selectors = ()
    container: str | None = None
    previous: bool = False
    lines: int = 0

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
    def log(cls, namespace: str, pod: str, container: str, *, previous: bool, lines: int) -> Self:
        return cls(
            look=Look.LOG,
            resource=Resource.PODS,
            namespace=namespace,
            name=pod,
            container=container,
            previous=previous,
            lines=lines,
        )

    def covers(self, other: "Question") -> bool:
        """Whether an answer to this one says everything that an answer to the other would say."""
        if self.look is Look.LOG:
            return self.lines >= other.lines and self == replace(other, lines=self.lines)
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

    `times` is how often in a row the question got it. `late` answers came after the run's own first write. Of a
    `lost` one only the question is known.
    """

    question: Question
    objects: tuple[Object, ...] = ()
    text: str | None = None
    error: ClusterError | None = None
    times: int = 1
    late: bool = False
    lost: bool = False

    def repeats(self, earlier: "Answer") -> bool:
        """Whether it says what the earlier one says."""
        if (self.error, earlier.error) == (None, None):
            return self == replace(earlier, times=self.times)
        same_error = (type(self.error), str(self.error)) == (type(earlier.error), str(earlier.error))
        return same_error and self == replace(earlier, times=self.times, error=self.error)


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejection:
    """A write, or its dry run, that was not accepted. Conflicts are left out: they come from the objects' versions."""

    write: Write
    dry_run: bool
    error: ClusterError


class RecordingCluster:
    """The `Cluster` port over another cluster. Holds at most `most` objects; later answers are lost."""

    def __init__(self, cluster: Cluster, *, most: int) -> None:
        self.rejections: list[Rejection] = []
        self._cluster = cluster
        self._room = most
        self._changed = False
        self._reads = 0
        self._answers: dict[int, Answer] = {}
        self._newest_answer: dict[Question, int] = {}
        self._newest_version: dict[tuple[Resource, str, str], Object] = {}

    @property
    def answers(self) -> list[Answer]:
        """In the order in which they were last handed out."""
        return list(self._answers.values())

    @property
    def recorded(self) -> bool:
        return self._cluster.recorded

    @property
    def traffic(self) -> Traffic | None:
        return self._cluster.traffic

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        question = Question.get(resource, namespace, name)
        try:
            found = await self._cluster.get(resource, namespace, name)
        except ClusterError as error:
            self._record(question, error=error)
            raise
        self._record(question, [found])
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
            self._record(question, error=error)
            raise
        self._record(question, found)
        return found

    async def pod_logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 200
    ) -> str:
        question = Question.log(namespace, pod, container, previous=previous, lines=tail_lines)
        try:
            text = await self._cluster.pod_logs(namespace, pod, container, previous=previous, tail_lines=tail_lines)
        except ClusterError as error:
            self._record(question, error=error)
            raise
        self._record(question, text=text)
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

    def _record(
        self,
        question: Question,
        objects: Sequence[Object] = (),
        *,
        text: str | None = None,
        error: ClusterError | None = None,
    ) -> None:
        if self._changed and any(earlier.covers(question) for earlier in self._newest_answer):
            return
        known = len(self._newest_version)
        held = tuple(self._held(question.resource, obj) for obj in objects)
        self._room -= len(self._newest_version) - known
        lost = self._room < 0
        answer = Answer(
            question=question,
            objects=() if lost else held,
            text=text,
            error=error,
            late=self._changed,
            lost=lost,
        )
        place = self._newest_answer.get(question)
        if place is not None and answer.repeats(self._answers[place]):
            answer = replace(answer, times=self._answers.pop(place).times + 1)
        self._newest_answer[question] = place = self._reads = self._reads + 1
        self._answers[place] = answer

    def _held(self, resource: Resource, obj: Object) -> Object:
        """The object, or the copy of it that is held already, so that three equal lists take the memory of one."""
        key = (resource, namespace(obj), name(obj))
        before = self._newest_version.get(key)
        if before is not None and _equal(before, obj):
            return before
        self._newest_version[key] = obj
        return obj


def _equal(one: Object, other: Object) -> bool:
    """One version of one object is one content; only a recording by hand has objects without versions."""
    versions = [(uid(obj), resource_version(obj)) for obj in (one, other)]
    return versions[0] == versions[1] if all(versions[0]) and all(versions[1]) else one == other
