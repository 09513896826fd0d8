"""The JSON Schemas of the public messages: inputs, results, queries, signals and updates.

They are committed under `schemas/`, one file per message, and their fingerprint stands in
CHANGELOG.md beside what changed; a test holds all three together, so that no message changes
without a word to those who rely on it.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from workflows.execution_messages import (
    ArbitragePlan,
    ArbitrageSnapshot,
    RebalancePlan,
    RebalanceSnapshot,
)
from workflows.messages import CancelRequest, OrderRequest, OrderSnapshot
from workflows.preview_messages import OrderPreview
from workflows.steering_messages import AmendRequest, ResolveRequest, SteerRequest
from workflows.sync_messages import SyncReport, SyncRequest

_MESSAGES: tuple[type[BaseModel], ...] = (
    OrderRequest,
    OrderSnapshot,
    OrderPreview,
    CancelRequest,
    SteerRequest,
    AmendRequest,
    ResolveRequest,
    ArbitragePlan,
    ArbitrageSnapshot,
    RebalancePlan,
    RebalanceSnapshot,
    SyncRequest,
    SyncReport,
)
MESSAGES: Mapping[str, type[BaseModel]] = {model.__name__: model for model in _MESSAGES}
"""Each public message by its name.

| workflow | input | query, result, updates' answers | signals and updates (and `resolve`) |
|---|---|---|---|
| orders | OrderRequest | OrderSnapshot | CancelRequest, SteerRequest, AmendRequest |
| PreviewOrder | OrderRequest | OrderPreview | |
| Arbitrage | ArbitragePlan | ArbitrageSnapshot | CancelRequest |
| Rebalance | RebalancePlan | RebalanceSnapshot | CancelRequest |
| SyncPositions | SyncRequest | SyncReport | |

`resolve` takes a ResolveRequest, in orders, Arbitrage and Rebalance.
"""
_DIGITS = 12


def schema_text(name: str) -> str:
    """The schema of one message as it is printed and committed. KeyError for an unknown name."""
    return _text(MESSAGES[name].model_json_schema())


def all_text() -> str:
    """All schemas as one object, by the messages' names."""
    return _text({name: model.model_json_schema() for name, model in MESSAGES.items()})


def fingerprint() -> str:
    """Twelve hex digits that change with any of the schemas."""
    return hashlib.sha256(all_text().encode()).hexdigest()[:_DIGITS]


def write(folder: Path) -> None:
    """Write each schema to a file of its own; files of messages that are gone are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.json"):
        if path.stem not in MESSAGES:
            path.unlink()
    for name in MESSAGES:
        (folder / f"{name}.json").write_text(schema_text(name), encoding="utf-8")


def _text(schema: object) -> str:
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
