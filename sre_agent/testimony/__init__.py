"""Evidence in the form in which it is kept: taken down while a run is walked, read back for a replay.

`Watch` stands beside a run in `executor`; `recall` gives `replay_incident` everything back. Protects two rules: no
secret is kept, and what would have been too much is said to be missing instead of looking absent.
"""

from sre_agent.testimony.recall import Recalled, recall
from sre_agent.testimony.watch import Watch

__all__ = ["Recalled", "Watch", "recall"]
