"""Evidence in the form in which it is kept: recorded while a run is walked, read back for a replay.

`RunRecorder` stands beside a run in `executor`; `read_back` gives `replay_incident` everything back. Protects two
rules: no secret is kept, and what would have been too much is said to be missing instead of looking absent.
"""

from sre_agent.kept_evidence.recorder import RunRecorder
from sre_agent.kept_evidence.stored_run import StoredRun, read_back

__all__ = ["RunRecorder", "StoredRun", "read_back"]
