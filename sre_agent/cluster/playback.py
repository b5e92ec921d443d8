"""A cluster made of what a recorder kept: the same questions get the same answers, in the same order.

Used by `kept_evidence` and `recorder`. Protects one rule: what nobody looked at then is unknown, not absent. Such a
question is refused as Unavailable, so that a step fails or a guard says no; it is never answered with an empty list.
The kinds in ABSENT_UNASKED alone are absent.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence

from sre_agent.cluster.port import NotFound, Resource, Unavailable, Write
from sre_agent.cluster.recorder import Answer, Look, Question, Rejection
from sre_agent.cluster.recording import LogKey, from_objects
from sre_agent.cluster.snapshot import SnapshotCluster
from sre_agent.cluster.strategic_merge import copy
from sre_agent.objects import Object, name, namespace

_Key = tuple[Resource, str, str]

ABSENT_UNASKED = frozenset({Resource.CONFIG_MAPS})
"""What earlier versions never looked at: a run of theirs knew of no stop switch, and had none."""


class PlaybackCluster:
    """The `Cluster` port over a recorder's answers.

    Until something is written, each question is answered as it was the first, second, ... time, the last answer
    staying. From then on the objects themselves answer, as they were at the end and with what was written since.
    A write that was rejected then is rejected again with the same words.
    """

    def __init__(self, answers: Sequence[Answer], rejections: Sequence[Rejection]) -> None:
        self._coming: dict[Question, deque[Answer]] = defaultdict(deque)
        for answer in answers:
            self._coming[answer.question].extend([answer] * answer.times)
        self._last = {answer.question: answer for answer in answers}
        self._rejected = list(rejections)
        self._objects = SnapshotCluster(from_objects(objects_at_the_end(answers), logs=logs_of(answers)))
        self._changed = False

    @property
    def recorded(self) -> bool:
        return True

    @property
    def traffic(self) -> None:
        return None

    async def get(self, resource: Resource, namespace: str | None, name: str) -> Object:
        question = Question.get(resource, namespace, name)
        answer = self._answer(question)
        if answer is None:
            return await self._objects.get(resource, namespace, name)
        found: Object = copy(answer.objects[0])
        return found

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        labels: dict[str, str] | None = None,
        fields: dict[str, str] | None = None,
    ) -> list[Object]:
        answer = self._answer(Question.list(resource, namespace, labels, fields))
        if answer is None:
            return await self._objects.list(resource, namespace, labels=labels, fields=fields)
        return [copy(obj) for obj in answer.objects]

    async def pod_logs(
        self, namespace: str, pod: str, container: str, *, previous: bool = False, tail_lines: int = 200
    ) -> str:
        self._answer(Question.log(namespace, pod, container, previous=previous, lines=tail_lines))
        return await self._objects.pod_logs(namespace, pod, container, previous=previous, tail_lines=tail_lines)

    async def write(self, write: Write, *, dry_run: bool = False) -> Object:
        for then in self._rejected:
            if then.dry_run is dry_run and _same_request(then.write, write):
                raise then.error
        answer = await self._objects.write(write, dry_run=dry_run)
        self._changed = self._changed or not dry_run
        return answer

    async def emit_event(self, event: Object) -> None:
        await self._objects.emit_event(event)

    async def close(self) -> None:
        return None

    def _answer(self, question: Question) -> Answer | None:
        """The answer to hand out, None where the objects themselves answer. Raises what was raised then."""
        last = self._last.get(question)
        if last is None and question.resource in ABSENT_UNASKED:
            raise NotFound(f"nobody looked: {_words(question)}")
        answer = last if last is None or last.late or self._changed else self._next(question)
        if answer is None or answer.lost:
            if not self._knows(question):
                raise Unavailable(f"the evidence that was kept does not say: {_words(question)}")
            return None
        if answer.error is not None and not (self._changed and _absent(answer)):
            raise answer.error
        return None if self._changed or answer.late else answer

    def _next(self, question: Question) -> Answer:
        coming = self._coming[question]
        return coming.popleft() if len(coming) > 1 else coming[0]

    def _knows(self, question: Question) -> bool:
        return any(
            seen.covers(question) and not answer.lost and (answer.error is None or _absent(answer))
            for seen, answer in self._last.items()
        )


def objects_at_the_end(answers: Sequence[Answer]) -> Iterator[Object]:
    """Each object in its last version before the first write; what was missing from a later answer is gone."""
    objects: dict[_Key, Object] = {}
    for answer in answers:
        if answer.question.look is Look.LOG or answer.lost or (answer.error and not _absent(answer)):
            continue
        resource = answer.question.resource
        found = {_key(resource, obj): _typed(resource, obj) for obj in answer.objects}
        if answer.late:
            objects = found | objects
            continue
        gone = [key for key in objects if key not in found and answer.question.covers(_question_for(key))]
        for key in gone:
            del objects[key]
        objects |= found
    yield from objects.values()


def logs_of(answers: Sequence[Answer]) -> dict[LogKey, str]:
    """Each log as far as it was asked for at most."""
    return {
        (question.namespace or "", question.name or "", question.container or "", question.previous): answer.text
        for answer in sorted(answers, key=lambda answer: answer.question.lines)
        if (question := answer.question).look is Look.LOG and answer.text is not None
    }


def _key(resource: Resource, obj: Object) -> _Key:
    return resource, namespace(obj), name(obj)


def _question_for(key: _Key) -> Question:
    return Question.get(key[0], key[1] or None, key[2])


def _typed(resource: Resource, obj: Object) -> Object:
    """The live API leaves kind and apiVersion out of the elements of a list."""
    return {"apiVersion": resource.api_version, "kind": resource.kind, **obj}


def _absent(answer: Answer) -> bool:
    return isinstance(answer.error, NotFound)


def _same_request(one: Write, other: Write) -> bool:
    """Whether two writes ask for the same. Versions and annotations (the incident's number) differ in any case."""
    return _essence(one) == _essence(other)


def _essence(write: Write) -> tuple[object, ...]:
    content = {key: value for key, value in write.body.items() if key != "metadata"}
    return write.verb, write.resource, write.namespace, write.name, write.subresource, content


def _words(question: Question) -> str:
    where = f" {question.namespace}/" if question.namespace else " "
    what = f"{question.look.value} {question.resource.plural}{where}{question.name or ''}".rstrip(" /")
    selectors = ",".join(f"{key}={value}" for key, value in (*question.labels, *question.fields))
    return f"{what} {selectors}".rstrip()
