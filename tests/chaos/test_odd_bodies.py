"""Whatever is posted as a webhook body is stored whole or refused with the place of its fault, and nothing breaks."""

import http.client
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from sre_agent.alert import BadPayload, Payload, parse
from tests.chaos.findings import ask, assert_nothing_half_stored, assert_nothing_is_left_behind
from tests.chaos.odd_bodies import BODIES
from tests.chaos.replicas import PATIENCE, Replica

pytestmark = pytest.mark.timeout(300)

SOAK = pytest.param(100_000, marks=[pytest.mark.soak, pytest.mark.timeout(7200)])
EXAMPLES = pytest.mark.parametrize("bodies", [2_000, SOAK], ids="{} bodies".format)
RECEIVED = "select count(*) from incident_events where event_type = 'webhook_received'"
TOLD = """
    select count(*) filter (where told ->> 'status' = 'firing'), count(*)
      from webhooks w, jsonb_array_elements(w.payload -> 'alerts') as told
     where coalesce(told -> 'labels' ->> 'alertname', '') not in ('Watchdog', 'InfoInhibitor')"""


def tried_with(bodies: int) -> Callable[[Callable[[bytes], None]], Callable[[], None]]:
    """Calls a function with so many bodies."""
    trying = settings(max_examples=bodies, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    return lambda function: trying(given(body=BODIES)(function))


@EXAMPLES
def test_the_parser_reads_a_body_or_names_the_place_of_its_fault(bodies: int, figure: Callable[[str], None]) -> None:
    came_to: Counter[str] = Counter()

    @tried_with(bodies)
    def read(body: bytes) -> None:
        try:
            payload = parse(body, source="the test")
        except BadPayload as bad:
            came_to["refused" if bad.path and bad.reason else "refused without a word"] += 1
        else:
            came_to["read"] += 1
            assert isinstance(payload, Payload)
            assert payload.alerts or not payload.rejected

    read()
    assert came_to["read"] + came_to["refused"] == came_to.total()
    assert came_to["read"] > bodies / 20
    figure(f"{dict(came_to)}")


@EXAMPLES
async def test_a_real_server_stores_a_body_whole_or_refuses_it(
    bodies: int, database: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    answers: Counter[int] = Counter()
    with Replica(tmp_path / "serve.log", "serve", "--no-worker", DATABASE_URL=database) as server:
        await server.ready()
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=PATIENCE)

        @tried_with(bodies)
        def post(body: bytes) -> None:
            connection.request("POST", "/alertmanager", body)
            with connection.getresponse() as response:
                said = response.read()
            answers[response.status] += 1
            assert (response.status, said[:9]) in {(200, b""), (400, b'{"error":')}

        post()
        shown = all_shown(connection)
        connection.close()
        assert "Traceback" not in server.said
        assert server.process.poll() is None
    assert ask(database, "select count(*) from webhooks") == [(answers[200],)]
    assert ask(database, "select count(*) from incidents") == [(shown,)]
    ((firing, told),) = ask(database, TOLD)
    ((received,),) = ask(database, RECEIVED)
    assert firing <= received <= told  # of the resolved ones, those about a node are kept too
    assert firing > bodies / 20
    assert_nothing_half_stored(database)
    assert_nothing_is_left_behind(database)
    figure(f"answers {dict(answers)}: {firing} firing alerts, {shown} incidents, none half stored")


def all_shown(connection: http.client.HTTPConnection) -> int:
    """Reads the whole list, page by page, and says how many incidents it shows."""
    shown, place, cursor = 0, "/api/incidents?limit=200", ""
    while cursor is not None:
        connection.request("GET", f"{place}&cursor={cursor}" if cursor else place)
        with connection.getresponse() as response:
            assert response.status == 200
            page = json.load(response)
        shown, cursor = shown + len(page["incidents"]), page["next_cursor"]
    return shown
