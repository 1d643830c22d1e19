"""A draft is the config in force without those who are out."""

from pulse.core.network.draft import Draft
from pulse.core.network.netconfig import Config, Settings, named, sign_config
from pulse.core.trust.members import Members, Naming
from tests.authority import MESH, Ca, key, node

CA = Ca()
HOME, CAM = node("home"), node("cam")


def test_who_is_revoked_is_not_in_it_and_all_else_is() -> None:
    naming = Naming({HOME: "home", CAM: "eye"}, {HOME: ("edge",), CAM: ("video",)})
    signed = sign_config(CA.network, named(Config(1, 5, Settings(str(MESH))), naming), key("home"))
    draft = Draft.of(signed, Members(), frozenset({CAM}))

    assert draft.naming == Naming({HOME: "home"}, {HOME: ("edge",)})
    assert draft.finished() == named(signed.config, draft.naming)


def test_another_naming_gives_another_draft() -> None:
    signed = sign_config(CA.network, Config(1, 5, Settings(str(MESH))), key("home"))
    draft = Draft.of(signed, Members(), frozenset())
    after = draft.renamed(Naming({HOME: "home"}))

    assert (draft.naming, after.naming.names) == (Naming(), {HOME: "home"})
    assert after.finished().generation == 5
