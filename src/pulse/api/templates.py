"""`/api/templates`: what new nodes get, by name; edited where the scribe or an operator is."""

from starlette.requests import Request

from pulse.api.control import Control
from pulse.api.endpoints import Endpoint
from pulse.core.trust.apikeys import Scope
from pulse.schemas.config import TemplateRef, TemplateRequest, TemplateView


async def list_templates(control: Control, _: Request) -> list[TemplateView]:
    """Every template, by name."""
    return await control.templates.all()


async def set_template(control: Control, _: Request, body: TemplateRequest) -> TemplateView:
    """Have a template; the one of that name gives way."""
    return await control.templates.set(body)


async def remove_template(control: Control, _: Request, body: TemplateRef) -> TemplateView:
    """Take a template away; tokens made from it stay what they are."""
    return await control.templates.remove(body)


ENDPOINTS = (
    Endpoint("GET", "/api/templates", list_templates, Scope.READ),
    Endpoint("PUT", "/api/templates", set_template, Scope.WRITE),
    Endpoint("DELETE", "/api/templates", remove_template, Scope.WRITE),
)
