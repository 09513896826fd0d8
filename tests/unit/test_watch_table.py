"""The armed triggers of a symbol in memory: as if each were shown every price, only quicker."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from activities.ledger.watch_rows import StoredWatch
from activities.watch_table import WatchTable
from tests.unit.trigger_samples import START, D, a_trigger, paths, shown, ticks_of, triggers
from workflows.domain.triggers import Tick, TriggerSource, TriggerSpec, TriggerState

UNDISTURBED = settings(deadline=None)  # shared machines: no limit on the time of one example


def stored(name: str, spec: TriggerSpec, state: TriggerState = START) -> StoredWatch:
    return StoredWatch(
        watch_id=name,
        order_id=f"order-{name}",
        account="main",
        spec=spec,
        state=state,
        armed_at_ms=0,
    )


def a_table(*specs: TriggerSpec) -> WatchTable:
    table = WatchTable()
    for index, spec in enumerate(specs):
        table.replay(table.add(stored(str(index), spec), sure_ms=0), [])
    return table


@UNDISTURBED
@given(st.lists(triggers(), min_size=1, max_size=8), paths)
def test_many_triggers_do_what_each_would_do_alone(
    specs: list[TriggerSpec], path: list[Decimal]
) -> None:
    table = a_table(*specs)
    fired: dict[str, tuple[int, Decimal]] = {}
    for index, tick in enumerate(ticks_of(path)):
        for hit in table.take(tick):
            assert hit.watch_id not in fired
            fired[hit.watch_id] = (index, hit.fired.price)
    states = {armed.watch_id: armed.state for armed in table}
    for number, spec in enumerate(specs):
        state, index, alone = shown(spec, ticks_of(path))
        name = str(number)
        if alone is None or index is None:
            assert states[name] == state
        else:
            assert fired[name] == (index, alone.price)


def test_one_price_fires_in_the_order_of_arming() -> None:
    table = a_table(*(a_trigger("sell", str(level)) for level in (95, 99, 97)))
    assert [hit.watch_id for hit in table.take(Tick(at_ms=1, last=D(90)))] == ["0", "1", "2"]


def test_triggers_of_other_sources_do_not_hear_a_price() -> None:
    table = a_table(a_trigger(), a_trigger(source=TriggerSource.BID_ASK))
    assert [hit.watch_id for hit in table.take(Tick(at_ms=1, bid=D(90)))] == ["1"]
    assert [hit.watch_id for hit in table.take(Tick(at_ms=2, last=D(90)))] == ["0"]


def test_what_is_armed_no_more_is_dropped_and_what_is_new_is_told() -> None:
    table = a_table(a_trigger(), a_trigger())
    new = stored("new", a_trigger())
    assert table.retain([stored("1", a_trigger()), new]) == [new]
    assert [armed.watch_id for armed in table] == ["1"]
    assert [hit.watch_id for hit in table.take(Tick(at_ms=1, last=D(90)))] == ["1"]


def test_while_a_part_of_the_past_is_missing_only_the_state_before_it_is_sure() -> None:
    table = a_table(a_trigger(trailing_delta_bps=1000))
    table.take(Tick(at_ms=10, last=D(100)))
    table.open_gaps(10)
    table.take(Tick(at_ms=50, last=D(120)))
    states, moment = table.snapshot(50) or ({}, 0)
    assert (states["0"].extreme, moment) == (D(100), 10)
    (gap,) = table.gaps
    table.fill_gap(gap, TriggerState(is_active=True, extreme=D(130)), 60, is_closed=True)
    states, moment = table.snapshot(60) or ({}, 0)
    assert (states["0"].extreme, moment) == (D(130), 60)


def test_live_prices_that_went_further_than_the_missing_path_stay() -> None:
    table = a_table(a_trigger(trailing_delta_bps=1000))
    table.open_gaps(10)
    table.take(Tick(at_ms=50, last=D(120)))
    (gap,) = table.gaps
    table.fill_gap(gap, TriggerState(is_active=True, extreme=D(110)), 40, is_closed=True)
    (armed,) = table
    assert armed.state.extreme == D(120)
    assert table.take(Tick(at_ms=60, last=D(108)))


def test_gaps_that_begin_at_several_moments_have_no_common_one_to_store() -> None:
    table = a_table(a_trigger())
    table.add(stored("late", a_trigger()), sure_ms=5)
    assert table.snapshot(50) is None


def test_a_state_that_moved_while_it_was_stored_is_stored_again() -> None:
    table = a_table(a_trigger(trailing_delta_bps=1000))
    table.take(Tick(at_ms=1, last=D(100)))
    states, _ = table.snapshot(1) or ({}, 0)
    table.take(Tick(at_ms=2, last=D(101)))
    table.stored(states)
    again, _ = table.snapshot(2) or ({}, 0)
    assert again["0"].extreme == D(101)
    table.stored(again)
    assert table.snapshot(2) == ({}, 2)
