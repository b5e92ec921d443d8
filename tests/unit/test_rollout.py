"""How many pods a rollout takes away and adds, as the Deployment controller resolves it."""

import pytest

from sre_agent.rollout import may_be_missing, surge


@pytest.mark.parametrize(
    ("strategy", "replicas", "expected"),
    [
        pytest.param({}, 2, 1, id="25 % by default, rounded up"),
        pytest.param({"rollingUpdate": {"maxSurge": "50%"}}, 3, 2, id="a percentage is rounded up"),
        pytest.param({"rollingUpdate": {"maxSurge": 3}}, 1, 3, id="a number"),
        pytest.param({"rollingUpdate": {"maxSurge": 0}}, 4, 0, id="no surge"),
        pytest.param({"type": "Recreate"}, 4, 0, id="Recreate adds none"),
    ],
)
def test_the_surge_is_what_the_strategy_says(strategy, replicas, expected):
    assert surge(strategy, replicas) == expected


@pytest.mark.parametrize(
    ("strategy", "replicas", "expected"),
    [
        pytest.param({}, 3, 0, id="25 % by default, rounded down"),
        pytest.param({}, 8, 2, id="25 % of eight"),
        pytest.param({"rollingUpdate": {"maxUnavailable": "50%"}}, 3, 1, id="a percentage is rounded down"),
        pytest.param({"rollingUpdate": {"maxUnavailable": 2}}, 3, 2, id="a number"),
        pytest.param({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}, 1, 0, id="none, the new pod comes first"),
        pytest.param({"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}, 3, 1, id="both zero means one"),
        pytest.param({"rollingUpdate": {"maxUnavailable": "25%", "maxSurge": 0}}, 3, 1, id="rounded down to zero"),
        pytest.param({"type": "Recreate"}, 4, 4, id="Recreate takes all of them"),
    ],
)
def test_what_may_be_missing_is_what_the_strategy_says(strategy, replicas, expected):
    assert may_be_missing(strategy, replicas) == expected
