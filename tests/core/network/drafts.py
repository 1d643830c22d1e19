"""A draft of a small network, for edits of its rules."""

from pulse.core.network.draft import Draft
from pulse.core.network.edits import Edit, Edits, edited
from pulse.core.network.netconfig import Config, Settings
from pulse.core.network.policy import Rule
from pulse.core.trust.members import Members, Naming
from tests.authority import MESH, NOW, Ca, node
from tests.mint import member

CA = Ca()
WEB, DB, CAM = node("web"), node("db"), node("cam")


def draft(*rules: Rule, groups: dict[str, list[str]] | None = None) -> Draft:
    """Web has a name and the tag front; db its name by the config; cam is only what it asked to be called."""
    members = Members()
    members.certificate_seen(member(CA, "web", 1, name="web", tags=("front",)))
    members.certificate_seen(member(CA, "db", 2, name="old-db"))
    members.certificate_seen(member(CA, "cam", 3, host="cam"))
    config = Config(1, 1, Settings(str(MESH)), acl=[*rules], groups=groups or {})
    return Draft(config, Naming({DB: "db"}, {DB: ("prod",)}), members)


def after(before: Draft, *edits: Edit, wall: float = NOW) -> Draft:
    """What the edits make of a draft, all of them."""
    return edited(before, Edits([*edits]), wall)
