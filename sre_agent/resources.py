"""Where the files are that are shipped beside the code: `sql`, `runbooks`, and in a checkout `examples`.

The store, the linter and the commands ask here, and nowhere else. A wheel carries them inside the package; an editable
checkout has them next to it, where people read and edit them.
"""

from pathlib import Path

from sre_agent.errors import SreAgentError

PACKAGE = Path(__file__).parent
PLACES = (PACKAGE / "_data", PACKAGE.parent)


def data_path(name: str) -> Path:
    """The directory that is shipped under this name. Raises SreAgentError where an installation lacks it."""
    for place in PLACES:
        if (place / name).is_dir():
            return place / name
    tried = " nor ".join(str(place / name) for place in PLACES)
    raise SreAgentError(
        f"The directory {name}/ is missing from this installation: neither {tried} is there. "
        "Install sre-agent again, or run it from a full checkout."
    )
