"""What runs read, knew and decided, kept: compressed, each object stored once, with the run that it belongs to.

Filled by the executor through `kept_evidence`, which redacts; read by `replay_incident`; swept after a prune. A record
is stored with all its objects or not at all, and goes with its run.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from psycopg import Error

from sre_agent.errors import BadInput, SreAgentError
from sre_agent.store.database import Database
from sre_agent.store.queries import query
from sre_agent.store.rows import Row
from sre_agent.store.values import parameters

LARGEST = 64 * 2**20
"""The most bytes that one object may have when it is unpacked: a database that was tampered with fills no memory."""


class DamagedEvidence(BadInput):
    """What is stored is not what was kept: it proves nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealed:
    """One value as it is kept: the SHA-256 of its canonical JSON, and that JSON compressed."""

    sha256: bytes
    body: bytes

    @classmethod
    def of(cls, value: Any) -> Self:
        """Seals a JSON value that has been redacted already."""
        text = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
        return cls(sha256=hashlib.sha256(text).digest(), body=zlib.compress(text))

    def open(self) -> Any:
        """The value. Raises DamagedEvidence where the bytes are not those that were sealed."""
        unpack = zlib.decompressobj()
        try:
            text = unpack.decompress(self.body, LARGEST)
        except zlib.error:
            text = b""
        if not unpack.eof or hashlib.sha256(text).digest() != self.sha256:
            raise DamagedEvidence(f"object {self.sha256.hex()} was changed after it had been kept; it proves nothing")
        return json.loads(text)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptEvidence:
    """One run's evidence. `record` (see `kept_evidence`) names the objects by their places, counted from 0.

    `missing` says what is not kept because it would have been too much, None where everything is. `later_runs`
    counts the runs of the incident that were queued after this one.
    """

    incident_id: int
    run_id: UUID
    kept_at: datetime
    record: dict[str, Any]
    objects: tuple[Sealed, ...]
    missing: str | None = None
    later_runs: int = 0

    @classmethod
    def from_rows(cls, row: Row, objects: Sequence[Row]) -> Self:
        """Raises DamagedEvidence where an object is gone."""
        if [entry["place"] for entry in objects] != list(range(len(objects))):
            raise DamagedEvidence(
                f"incident {row['incident_id']} cannot be replayed: an object of its evidence is gone from the database"
            )
        return cls(
            incident_id=row["incident_id"],
            run_id=row["run_id"],
            kept_at=row["kept_at"],
            record=row["record"],
            objects=tuple(Sealed(sha256=entry["sha256"], body=entry["body"]) for entry in objects),
            missing=row["missing"],
            later_runs=row["later_runs"],
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceStore:
    """The evidence of all runs. Every method raises Unreachable when the server is away."""

    database: Database

    async def keep(self, kept: KeptEvidence) -> None:
        """Stores one run's evidence; objects that are there already are only referred to.

        Raises SreAgentError with the server's words where it refuses.
        """
        scalars = parameters(
            {
                "incident_id": kept.incident_id,
                "run_id": kept.run_id,
                "now": kept.kept_at,
                "record": kept.record,
                "missing": kept.missing,
                "bytes": sum(len(sealed.body) for sealed in kept.objects),
            }
        )
        arrays = {
            "hashes": [sealed.sha256 for sealed in kept.objects],
            "bodies": [sealed.body for sealed in kept.objects],
        }
        try:
            async with self.database.connection() as connection:
                await connection.execute(query("keep_evidence"), scalars | arrays)
        except Error as error:
            said = error.diag.message_primary or type(error).__name__
            raise SreAgentError(f"the evidence of run {kept.run_id} was refused: {said}") from error

    async def newest(self, incident_id: int) -> KeptEvidence | None:
        """The evidence of the incident's last run that has any. Raises DamagedEvidence where an object is gone."""
        rows = await self.database.rows("newest_evidence", incident_id=incident_id)
        if not rows:
            return None
        objects = await self.database.rows("evidence_objects", evidence_id=rows[0]["id"])
        return KeptEvidence.from_rows(rows[0], objects)

    async def runs_by_status(self, incident_id: int) -> dict[str, int]:
        """How many runs of an incident there are in each status, to say why there is no evidence."""
        rows = await self.database.rows("runs_of_incident_by_status", incident_id=incident_id)
        return {row["status"]: row["runs"] for row in rows}

    async def sweep(self) -> int:
        """Removes the objects that no evidence refers to any more, and returns their number. To be called after
        a prune has removed runs; needs a role that may delete.
        """
        (row,) = await self.database.rows("sweep_evidence")
        removed: int = row["removed"]
        return removed
