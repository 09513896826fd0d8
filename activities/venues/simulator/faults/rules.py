"""Rules: which requests and events are disturbed, how often, and what counts how often they were.

Theory of operation. A rule is a fault with matching options. Everything that could be disturbed is
described by `Facts`; a rule that fits counts it (`seen`), then asks `nth`, `times` and
`probability`, and counts again if it acts (`hit`). Draws come from one seeded source in the order
of arrival. Knows nothing of wires, books or what a fault does.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from activities.venues.simulator.faults.dialect import Purpose
from activities.venues.simulator.faults.options import FaultError, Options
from activities.venues.simulator.orders import Order
from activities.venues.simulator.stream_seam import StreamKind

MAX_RULES = 10_000
_NO_LIMIT = 0


class Scope(Enum):
    """What a rule is about."""

    REQUEST = "request"
    EVENT = "event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a request or an event when it could be disturbed.

    `symbol` is unified. `purpose` is what a request is for, whatever the wire calls it. `order` is
    the order at this exchange that it is about, if there is one; `kind` is an event's execution
    type, or what a public stream's message is about, and `stream` the stream that it is on.
    """

    scope: Scope = Scope.REQUEST
    purpose: Purpose | None = None
    method: str = ""
    path: str = ""
    account: str | None = None
    symbol: str | None = None
    client_order_id: str | None = None
    order: Order | None = None
    kind: str | None = None
    stream: StreamKind = StreamKind.PRIVATE


class Fault:
    """Base of all faults; one object for each rule. By itself it does nothing."""

    scope = Scope.REQUEST
    default_times = 1

    def applies(self, _facts: Facts, /) -> bool:
        """Whether the fault could do anything here; if not, it is not even seen."""
        return True

    def persists(self, _facts: Facts, /) -> bool:
        """Whether the fault is still under way and meets this, whatever the options say."""
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """The matching options of a rule; None matches everything. `times` 0 is no limit."""

    purpose: Purpose | None = None
    method: str | None = None
    path: str | None = None
    account: str | None = None
    symbol: str | None = None
    client_order_id: str | None = None
    nth: int | None = None
    times: int = 1
    probability: float = 1.0

    @classmethod
    def read(cls, options: Options, default_times: int) -> "Match":
        """The options that every rule has. Raises FaultError."""
        purpose = options.text("purpose")
        return cls(
            purpose=Purpose(options.one_of("purpose", list(Purpose), "")) if purpose else None,
            method=options.text("method"),
            path=options.text("path"),
            account=options.text("account"),
            symbol=options.text("symbol"),
            client_order_id=options.text("client_order_id"),
            nth=options.whole("nth", None, low=1, high=1_000_000_000),
            times=options.number("times", default_times, low=0, high=1_000_000_000),
            probability=options.share("probability"),
        )

    def fits(self, facts: Facts) -> bool:
        """Whether all that was asked for is so."""
        pairs = (
            (self.purpose, facts.purpose),
            (self.method, facts.method),
            (self.account, facts.account),
            (self.symbol, facts.symbol),
            (self.client_order_id, facts.client_order_id),
        )
        if any(wanted not in (None, found) for wanted, found in pairs):
            return False
        return self.path is None or facts.path.endswith(self.path)


@dataclass(slots=True, kw_only=True)
class Rule:
    """A fault under its matching options. `name` is the fault's."""

    id: int
    name: str
    match: Match
    fault: Fault
    seen: int = 0
    hit: int = 0

    def meets(self, facts: Facts, draw: Callable[[], float]) -> bool:
        """Count, and say whether the fault acts now."""
        if self.fault.scope is not facts.scope:
            return False
        if self.fault.persists(facts):
            self.hit += 1
            return True
        if not (self.match.fits(facts) and self.fault.applies(facts)):
            return False
        self.seen += 1
        match = self.match
        if match.nth not in (None, self.seen):
            return False
        if match.times != _NO_LIMIT and self.hit >= match.times:
            return False
        if match.probability < 1 and draw() >= match.probability:
            return False
        self.hit += 1
        return True


@dataclass(slots=True)
class RuleBook:
    """All rules in force, oldest first."""

    rules: dict[int, Rule] = field(default_factory=dict)
    _last_id: int = 0
    # Reproducible by design: this makes tests, not secrets.
    _random: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311

    def add(self, name: str, match: Match, fault: Fault) -> Rule:
        """Put a rule into force. Raises FaultError if there are too many."""
        if len(self.rules) >= MAX_RULES:
            raise FaultError(f"there are {MAX_RULES} rules already")
        self._last_id += 1
        rule = Rule(id=self._last_id, name=name, match=match, fault=fault)
        self.rules[rule.id] = rule
        return rule

    def one(self, rule_id: int) -> Rule:
        """Raises FaultError if there is none."""
        found = self.rules.get(rule_id)
        if found is None:
            raise FaultError(f"there is no rule {rule_id}")
        return found

    def remove(self, rule_id: int) -> None:
        """Take a rule out of force. Raises FaultError if there is none."""
        del self.rules[self.one(rule_id).id]

    def clear(self) -> None:
        """Take all rules out of force."""
        self.rules.clear()

    def seed(self, number: int) -> None:
        """Begin the draws of all probabilities anew."""
        self._random.seed(number)

    def in_force(self) -> list[Rule]:
        """All rules, oldest first."""
        return list(self.rules.values())

    def has(self, rule: Rule) -> bool:
        """Whether a rule is still in force."""
        return rule.id in self.rules

    def meets(self, rule: Rule, facts: Facts) -> bool:
        """Whether a rule acts on this now; it counts it. A rule that was removed never does."""
        return self.has(rule) and rule.meets(facts, self._random.random)

    def met_by(self, facts: Facts) -> list[Rule]:
        """The rules that act on this, oldest first; they count it."""
        return [rule for rule in self.in_force() if self.meets(rule, facts)]
