"""Templates, typed at any node that may: told, made and taken away in the network config.

Invariant: nothing is given here; what a template says counts when a token is made from it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pulse.core.likeness import meant
from pulse.core.network.edits import Edits
from pulse.core.network.netconfig import SignedConfig
from pulse.core.network.sections import TemplateRemoved, TemplateSet
from pulse.core.network.statements import Statements
from pulse.core.network.templates import Template, whole_seconds
from pulse.errors import NotFound
from pulse.schemas.config import TemplateRef, TemplateRequest, TemplateView


@dataclass(frozen=True, slots=True)
class TemplatesService:
    """One node as a place to work on templates from; implements `pulse.api.governance.TemplateStore`."""

    statements: Statements
    edit: Callable[[Edits], Awaitable[SignedConfig]]
    """Has edits made, here or by the scribe."""

    async def all(self) -> list[TemplateView]:
        """Every template, by name. Raises Refused before a network config is in force."""
        found = self.statements.config_in_force().config.templates
        return [_view(name, template) for name, template in sorted(found.items())]

    async def set(self, wanted: TemplateRequest) -> TemplateView:
        """Have a template. Raises what an edit raises, and ConfigError for a time that is none."""
        template = Template(list(wanted.tags), wanted.node_name, whole_seconds(wanted.ttl), wanted.max_uses)
        await self.edit(Edits([TemplateSet(wanted.name, template)]))
        return _view(wanted.name, template)

    async def remove(self, wanted: TemplateRef) -> TemplateView:
        """Take one away. Raises NotFound, and what an edit raises."""
        templates = self.statements.config_in_force().config.templates
        known = templates.get(wanted.name)
        if known is None:
            near = meant(wanted.name, templates)
            raise NotFound(f'there is no template "{wanted.name}".{near} See them: pulse template list')
        await self.edit(Edits([TemplateRemoved(wanted.name)]))
        return _view(wanted.name, known)


def _view(name: str, template: Template) -> TemplateView:
    return TemplateView(
        name=name,
        tags=list(template.tags),
        node_name=template.name,
        ttl=template.ttl,
        max_uses=template.uses,
    )
