"""Edits of what the network config only states: templates, zone records, routes.

Invariant: what is stated was read by the module of its kind, and is kept in its one form and order.
"""

from dataclasses import replace

from msgspec import structs

from pulse.core.cidr import Range
from pulse.core.likeness import meant
from pulse.core.messages import Wire
from pulse.core.network.draft import Draft
from pulse.core.network.ranges import mesh_range
from pulse.core.network.routes import AutoApproval, Route, Routes, check_routes, written_auto, written_route
from pulse.core.network.templates import TEMPLATES_LIMIT, Template, Templates, check_template
from pulse.core.network.zones import ZoneRecord, Zones, check_zones, matching, written
from pulse.core.trust.identity import mesh_prefix, node_from_bytes
from pulse.core.types import SHORT_ID, Digest, ShortText, Text
from pulse.errors import NotFound, PulseError, Refused


class TemplateSet(Wire, frozen=True, tag=20):
    """Say what new nodes of a kind get; the template is made if it is not there."""

    name: ShortText
    template: Template


class TemplateRemoved(Wire, frozen=True, tag=21):
    """Take a template away; tokens made from it stay what they are."""

    name: ShortText


class TemplatesReplaced(Wire, frozen=True, tag=22):
    """Have these templates and no others."""

    templates: Templates


class ZonesReplaced(Wire, frozen=True, tag=23):
    """Have these records and no others."""

    records: Zones


class RoutesReplaced(Wire, frozen=True, tag=24):
    """Have these routes and no others."""

    routes: Routes
    auto: AutoApproval


class RecordAdded(Wire, frozen=True, tag=30):
    """Have this record beside the others."""

    record: ZoneRecord


class RecordsRemoved(Wire, frozen=True, tag=31):
    """Take away the records of a name and type; of several the one of that value, if it says one."""

    name: Text
    kind: ShortText
    value: Text = ""


class RouteSet(Wire, frozen=True, tag=40):
    """Have this route, in place of one by that node to that range."""

    route: Route


class RouteRemoved(Wire, frozen=True, tag=41):
    """Take a route away: nobody uses the range through the node any more."""

    node: Digest
    announced: ShortText


ZoneEdit = ZonesReplaced | RecordAdded | RecordsRemoved
RouteEdit = RouteSet | RouteRemoved
SectionEdit = TemplateSet | TemplateRemoved | TemplatesReplaced | ZoneEdit | RoutesReplaced | RouteEdit


def stated(draft: Draft, edit: SectionEdit) -> Draft:
    """The draft after `edit`. Raises Refused, NotFound or Conflict."""
    config = draft.config
    match edit:
        case TemplateSet(name, template):
            templates = _templates({**config.templates, name: template})
            return replace(draft, config=structs.replace(config, templates=templates))
        case TemplateRemoved(name):
            if name not in config.templates:
                near = meant(name, config.templates)
                raise NotFound(f'there is no template "{name}".{near} See them: pulse template list')
            left = {each: template for each, template in config.templates.items() if each != name}
            return replace(draft, config=structs.replace(config, templates=left))
        case TemplatesReplaced(templates):
            return replace(draft, config=structs.replace(config, templates=_templates(templates)))
        case ZonesReplaced() | RecordAdded() | RecordsRemoved():
            return replace(draft, config=structs.replace(config, zones=_zones(config.zones, edit)))
        case RoutesReplaced(routes, auto):
            ours = mesh_ranges(draft)
            found = [_route(draft, number, each, ours) for number, each in enumerate(routes, 1)]
            checked = structs.replace(config, routes=_sorted(found), auto_approve=written_auto(auto, ours))
            return replace(draft, config=checked)
        case RouteSet() | RouteRemoved():
            return replace(draft, config=structs.replace(config, routes=_routes(draft, edit)))


def mesh_ranges(draft: Draft) -> list[Range]:
    """The ranges of the mesh itself."""
    networks = {each.network for each in draft.members.all()}
    return [mesh_range(draft.config.settings.mesh_cidr), *map(mesh_prefix, networks)]


def _templates(templates: Templates) -> Templates:
    for name, template in templates.items():
        check_template(name, template)
    if len(templates) > TEMPLATES_LIMIT:
        raise Refused(f"these are {len(templates)} templates; {TEMPLATES_LIMIT} are allowed")
    return templates


def _zones(before: Zones, edit: ZoneEdit) -> Zones:
    match edit:
        case ZonesReplaced(records):
            found = _written(records)
        case RecordAdded(record):
            # The others stay as they are: this release may not know what some of them are.
            found = [*before, written(record)]
        case RecordsRemoved(name, kind, value):
            gone = matching(before, name, kind, value)
            return [each for each in before if each not in gone]
    check_zones(found)
    return sorted(found, key=lambda each: (each.name, each.kind, each.value))


def _written(records: Zones) -> Zones:
    found = []
    for number, each in enumerate(records, 1):
        try:
            found.append(written(each))
        except Refused as error:
            raise Refused(f"zone record {number}: {error}") from error
    return found


def _routes(draft: Draft, edit: RouteEdit) -> list[Route]:
    """The routes after `edit`."""
    routes = draft.config.routes
    match edit:
        case RouteSet(route):
            new = _route(draft, len(routes) + 1, route, mesh_ranges(draft))
            others = [each for each in routes if (each.node, each.announced) != (new.node, new.announced)]
            return _sorted([*others, new])
        case RouteRemoved(node, announced):
            left = [each for each in routes if (each.node, each.announced) != (node, announced)]
            if len(left) == len(routes):
                raise NotFound(f"{node.hex()[:SHORT_ID]} has no route to {announced}. See them: pulse route list")
            return left


def _sorted(routes: list[Route]) -> list[Route]:
    check_routes(routes)
    return sorted(routes, key=lambda each: (each.node, each.announced))


def _route(draft: Draft, number: int, route: Route, ours: list[Range]) -> Route:
    node = node_from_bytes(route.node)
    if draft.members.get(node) is None and all(each.node != route.node for each in draft.config.routes):
        raise NotFound(f"route {number}: there is no node {node[:SHORT_ID]}. See the nodes: pulse status")
    try:
        return written_route(route, ours)
    except PulseError as error:
        raise type(error)(f"route {number}: {error}") from error
