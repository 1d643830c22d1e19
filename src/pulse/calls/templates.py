"""What can be asked of a node about templates; `pulse.client` is the connection."""

from dataclasses import dataclass

from pulse.client import SCRIBE_PATIENCE, Client
from pulse.schemas.config import TemplateRef, TemplateRequest, TemplateView
from pulse.schemas.structs import Body


@dataclass(frozen=True, slots=True)
class TemplateCalls:
    """What new nodes of a kind get, as the node has it."""

    client: Client

    def templates(self) -> list[TemplateView]:
        """Every template, by name."""
        return self.client.get("/api/templates", list[TemplateView])

    def set_template(self, request: TemplateRequest) -> TemplateView:
        """Have a template."""
        return self._template("PUT", request)

    def remove_template(self, name: str) -> TemplateView:
        """Take a template away."""
        return self._template("DELETE", TemplateRef(name))

    def _template(self, method: str, body: Body) -> TemplateView:
        return self.client.call(method, "/api/templates", TemplateView, body, patience=SCRIBE_PATIENCE)
