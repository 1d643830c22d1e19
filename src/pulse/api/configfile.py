"""`/api/config/file`, `/api/config/plan`: the whole network as a file has it; entity tags as in `config.py`."""

from starlette.requests import Request

from pulse.api.config import etag, seen
from pulse.api.control import Control
from pulse.api.endpoints import Endpoint, Stamped
from pulse.core.trust.apikeys import Scope
from pulse.schemas.config import ConfigFile, ConfigPlan, ConfigWanted


async def get_file(control: Control, _: Request) -> Stamped[ConfigFile]:
    """The network config in force as a file has it: all of it, in the words of people."""
    number, told = await control.configfile.export()
    return Stamped(told, etag(number))


async def plan_file(control: Control, _: Request, body: ConfigWanted) -> ConfigPlan:
    """What a file of the whole network would change."""
    return await control.configfile.plan(body)


async def put_file(control: Control, request: Request, body: ConfigWanted) -> Stamped[ConfigPlan]:
    """Put a file of the whole network in place of what is in force, all of it or nothing; what is left out is none."""
    told = await control.configfile.apply(body, await seen(control, request))
    return Stamped(told, f'"{told.version}"')


ENDPOINTS = (
    Endpoint("GET", "/api/config/file", get_file, Scope.READ),
    Endpoint("PUT", "/api/config/file", put_file, Scope.WRITE, precondition=True),
    Endpoint("POST", "/api/config/plan", plan_file, Scope.READ),
)
