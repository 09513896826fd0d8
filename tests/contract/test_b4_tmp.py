import json
import pytest
from tests.contract.test_temporal_cli_executions import *
from tests.contract.test_temporal_cli_executions import cli as cli
pytest_plugins = ("tests.e2e.pair_stack",)
@pytest.mark.parametrize("n", range(3))
async def test_x(cli, pair, n):
    async with arbitrage_at_work(cli, pair) as execution_id:
        answer = await cli.update(execution_id, "cancel")
        r = await cli.result(execution_id)
    h = await pair.world.history(execution_id)
    print("DIFF", answer["completed_at"], r["completed_at"], answer["completed_at"]== r["completed_at"])
    for e in json.loads(h.to_json())['events'][-22:]:
        t=e['eventType'][11:]; a=[v for k,v in e.items() if k.endswith('Attributes')][0]
        x=a.get('markerName') or a.get('activityType',{}).get('name') or a.get('cause') or a.get('timerId') or ''
        print("EV", e['eventId'], e['eventTime'][14:26], t, x)
