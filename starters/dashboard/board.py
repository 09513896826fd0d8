"""What all pages of one process share: its connections, the news, the answers it has just read."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from starters.connections import Connections
from starters.dashboard.live import Answers, News
from workers.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """Made once, with the application."""

    settings: Settings
    connections: Connections
    news: News
    answers: Answers = field(default_factory=Answers)

    def temporal_address(self, workflow_id: str) -> str:
        """A workflow's history in Temporal's own pages."""
        base = self.settings.temporal_ui.rstrip("/")
        space = quote(self.settings.temporal_namespace, safe="")
        return f"{base}/namespaces/{space}/workflows/{quote(workflow_id, safe='')}"

    def now(self) -> datetime:
        """The time that ages on pages are counted from. UTC."""
        return datetime.now(UTC)
