"""A draft is the config in force without those who are out."""

from msgspec import structs

from pulse.core.network.draft import Draft
from pulse.core.network.netconfig import Config, Settings, named, sign_config
from pulse.core.network.routes import Route
from pulse.core.trust.identity import node_bytes
from pulse.core.trust.members import Members, Naming
from tests.authority import MESH, Ca, key, node

CA = Ca()
HOME, CAM = node("home"), node("cam")


def test_who_is_revoked_is_not_in_it_and_all_else_is() -> None:
    naming = Naming({HOME: "home", CAM: "eye"}, {HOME: ("edge",), CAM: ("video",)})
    signed = sign_config(CA.network, named(Config(1, 5, Settings(str(MESH))), naming), key("home"))
    draft = Draft.of(signed, Members(), frozenset({CAM}))

    assert draft.naming == Naming({HOME: "home"}, {HOME: ("edge",)})
    led = structs.replace(signed.config, routes=[Route(node_bytes(each), "::/0") for each in (HOME, CAM)])
    through = Draft.of(sign_config(CA.network, led, key("home")), Members(), frozenset({CAM}))
    assert [each.node for each in through.config.routes] == [node_bytes(HOME)]
    assert draft.finished() == named(signed.config, draft.naming)


def test_another_naming_gives_another_draft() -> None:
    signed = sign_config(CA.network, Config(1, 5, Settings(str(MESH))), key("home"))
    draft = Draft.of(signed, Members(), frozenset())
    after = draft.renamed(Naming({HOME: "home"}))

    assert (draft.naming, after.naming.names) == (Naming(), {HOME: "home"})
    assert after.finished().generation == 5
