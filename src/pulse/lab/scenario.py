"""A scenario: a lab, what befalls it when, and what is expected of it.

Invariant: pure; a scenario that was read can be played, and a mistake in one is told with its file, line, key and the
nearest name there is.
"""

import re
import tomllib
from collections.abc import Iterable
from enum import StrEnum
from importlib import resources
from typing import Any, Final, TypeVar

import msgspec

from pulse import settings, tomllines, tomlmistakes
from pulse.checks import near
from pulse.core.durations import is_duration, parse_duration
from pulse.errors import ConfigError
from pulse.lab import impairment
from pulse.lab.impairment import NONE, Impairment
from pulse.lab.plan import HostPlan, Nat, NetworkPlan, Plan, check


class Do(StrEnum):
    """What may befall a lab."""

    UNPLUG = "unplug"
    """The cables of `host` are pulled, or that to `network`."""
    PLUG = "plug"
    """They are plugged in again."""
    KILL = "kill"
    """The pulse on `host` ends at once, by kill -9."""
    STOP = "stop"
    """It is told to stop, and takes its leave."""
    FREEZE = "freeze"
    """It stands still: nothing is closed and nothing answers."""
    THAW = "thaw"
    """It goes on."""
    START = "start"
    """It is started again."""
    RESTART = "restart"
    """It is stopped and started again."""
    IMPAIR = "impair"
    """Packets on `network`, or on their way `to` one of its hosts, are treated by `impair` from now on."""
    INTERRUPT = "interrupt"
    """Nothing passes on `network`, or `to` one of its hosts, `lasting` so long."""
    BLOCK_UDP = "block_udp"
    """No UDP to, from and through `host`."""
    OPEN_UDP = "open_udp"
    """UDP passes again."""
    NAT = "nat"
    """The NAT `host` is of another class, `nat`, and forgets all mappings."""
    REBIND = "rebind"
    """The NAT `host` forgets all mappings and gives other outer ports."""
    CARRY = "carry"
    """`host` is carried `to` another router: one cable out, the other in, another address."""
    RENUMBER = "renumber"
    """`host` gets another address on the network it is on."""
    ROUTE = "route"
    """All that `host` sends beyond its own networks goes over the router `to` from now on."""
    RUN = "run"
    """`command` is run on `host`, and has to succeed."""


class Reached(StrEnum):
    """How one host is to reach another."""

    DIRECT = "direct"
    """With nobody between the two."""
    RELAYED = "relayed"
    """Over other nodes."""
    YES = "yes"
    """In any way."""
    NO = "no"
    """Not at all."""


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that befalls a lab at a moment; the moment counts from when all nodes are up."""

    do: Do
    at: str = "0s"
    host: str = ""
    network: str = ""
    to: str = ""
    impair: Impairment = NONE
    lasting: str = ""
    nat: Nat | None = None
    command: str = ""

    @property
    def moment(self) -> float:
        """Seconds after the start."""
        return seconds(self.at)

    def __str__(self) -> str:
        named = (self.host, self.network, self.to and f"to {self.to}", self.nat or "", self.lasting, self.command)
        parts = [self.do, *named]
        if self.do is Do.IMPAIR:
            changed = msgspec.structs.asdict(self.impair).items()
            parts += [f"{name}={value:g}" for name, value in changed if value != getattr(NONE, name)] or ["nothing"]
        return " ".join(filter(None, parts))


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"source": "from"}):
    """What is to be so, at some moment from `after` on, `within` a time."""

    source: str
    to: str
    reached: Reached = Reached.YES
    after: str = "0s"
    within: str = "30s"
    via: str = ""
    """The first relay on the way."""
    link: str = ""
    """Type of the first link: quic, direct_quic or websocket."""

    @property
    def words(self) -> str:
        """What is expected, in words."""
        how = {Reached.DIRECT: "directly", Reached.RELAYED: "over a relay", Reached.YES: "", Reached.NO: "not at all"}
        parts = [how[self.reached], self.via and f"via {self.via}", self.link and f"by {self.link}"]
        return " ".join(filter(None, parts)) or "in any way"


class Scenario(Plan, frozen=True, forbid_unknown_fields=True):
    """All of it."""

    about: str = ""
    fault: tuple[Fault, ...] = ()
    expect: tuple[Expectation, ...] = ()


NEEDS: Final = {
    **dict.fromkeys((Do.KILL, Do.STOP, Do.FREEZE, Do.THAW, Do.START, Do.RESTART), (("host",), ())),
    **dict.fromkeys((Do.UNPLUG, Do.PLUG), (("host",), ("network",))),
    **dict.fromkeys((Do.BLOCK_UDP, Do.OPEN_UDP, Do.REBIND, Do.RENUMBER), (("host",), ())),
    **dict.fromkeys((Do.CARRY, Do.ROUTE), (("host", "to"), ())),
    Do.NAT: (("host", "nat"), ()),
    Do.IMPAIR: (("network",), ("to", "impair")),
    Do.INTERRUPT: (("network", "lasting"), ("to",)),
    Do.RUN: (("host", "command"), ()),
}
"""The keys that each fault has to have, and those that it may have beside `at`."""

_S = TypeVar("_S", bound=msgspec.Struct)

_RUNS: Final = frozenset({Do.KILL, Do.STOP, Do.FREEZE, Do.THAW, Do.START, Do.RESTART})
_LIMIT: Final = 1024 * 1024
"""Bytes of a file."""

_PLACE = re.compile(r"(?:[a-z_]+)(?:\.[\w-]+|\[\d+\])*")
_SHIPPED: Final = resources.files("pulse.lab") / "scenarios"


class _Described(msgspec.Struct, forbid_unknown_fields=True):
    """A scenario whose hosts are read one by one, so that a mistake is told with the name of its host."""

    hosts: dict[str, object]
    networks: tuple[NetworkPlan, ...] = ()
    about: str = ""
    fault: tuple[Fault, ...] = ()
    expect: tuple[Expectation, ...] = ()


def shipped() -> dict[str, Scenario]:
    """The scenarios that come with pulse, by name."""
    files = sorted(each.name for each in _SHIPPED.iterdir() if each.name.endswith(".toml"))
    return {name.removesuffix(".toml"): read(name, _text(name)) for name in files}


def find(name: str) -> Scenario:
    """The scenario in a file, or one of ours by its name. Raises ConfigError."""
    names = sorted(each.name.removesuffix(".toml") for each in _SHIPPED.iterdir() if each.name.endswith(".toml"))
    if name in names:
        return read(f"{name}.toml", _text(f"{name}.toml"))
    try:
        with open(name, "rb") as file:
            data = file.read(_LIMIT + 1)
        if len(data) > _LIMIT:
            raise ConfigError(f"cannot read {name}: it is longer than {_LIMIT} bytes, so no description of a lab")
        # Editors of other systems write a byte order mark first.
        return read(name, data.decode("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigError(f"cannot read {name}: {why}{near(name, names)}\nSee all: pulse lab list") from error


def read(name: str, text: str) -> Scenario:
    """Read a scenario in TOML; `name` is what its file is called. Raises ConfigError."""
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is no TOML: {error}") from error
    if not found.get("hosts"):
        raise ConfigError(f"{name} says no hosts. Write a table for each, such as [hosts.a]")
    described = _converted(found, _Described, name, text, ())
    hosts = {host: _converted(table, HostPlan, name, text, ("hosts", host)) for host, table in described.hosts.items()}
    scenario = Scenario(hosts, described.networks, described.about, described.fault, described.expect)
    try:
        check(scenario)
        _check_settings(scenario)
        for number, fault in enumerate(scenario.fault):
            _check_fault(f"fault[{number}]", fault, scenario)
        for number, expected in enumerate(scenario.expect):
            _check_expectation(f"expect[{number}]", expected, scenario)
    except ConfigError as error:
        raise ConfigError(f"{name}{_line_of(text, str(error))}: {error}") from error
    return scenario


def network_number(plan: Plan, name: str) -> int | None:
    """The number of a network by its name, or by its number in digits; None if there is none."""
    for number, network in enumerate(plan.networks):
        if name and name in (network.name, str(number)):
            return number
    return None


def seconds(text: str) -> float:
    """Seconds of a duration, which may be none. Raises ConfigError."""
    return 0.0 if is_duration(text) and not re.search("[1-9]", text) else parse_duration(text)


def _text(name: str) -> str:
    return (_SHIPPED / name).read_text(encoding="utf-8")


def _converted(found: object, kind: type[_S], name: str, text: str, inside: tomllines.Path) -> _S:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(tomlmistakes.told(name, text, kind, str(error), inside)) from error


def _check_settings(plan: Plan) -> None:
    for name, host in plan.hosts.items():
        if host.pulse:
            # What the node itself would refuse is refused here, before anything is built.
            place = f"hosts.{name}.pulse.settings"
            try:
                settings.judge(dict(host.pulse.settings), place)
            except ConfigError as error:
                raise ConfigError(f"{place}: {str(error).removeprefix(f'{place}: ')}") from error


def _check_fault(place: str, fault: Fault, plan: Plan) -> None:
    _check_moment(f"{place}.at", fault.at)
    needed, allowed = NEEDS[fault.do]
    given = [name for name in fault.__struct_fields__ if getattr(fault, name) != _default(name)]
    for name in needed:
        if name not in given:
            raise ConfigError(f"{place}: {fault.do} needs {name}")
    for name in given:
        if name not in (*needed, *allowed, "do", "at"):
            keys = ", ".join((*needed, *allowed))
            raise ConfigError(f"{place}.{name}: {fault.do} has no {name} (it has: {keys})")
    if fault.host:
        _known(f"{place}.host", "host", fault.host, plan.hosts)
    if fault.to:
        _known(f"{place}.to", "host", fault.to, plan.hosts)
    if fault.network:
        _check_network(place, fault, plan)
    _check_fit(place, fault, plan)


def _check_network(place: str, fault: Fault, plan: Plan) -> None:
    number = network_number(plan, fault.network)
    if number is None:
        known = [network.name or str(number) for number, network in enumerate(plan.networks)]
        raise ConfigError(f'{place}.network: there is no network "{fault.network}"{near(fault.network, known)}')
    for key in ("host", "to"):
        host = getattr(fault, key)
        if host and host not in plan.networks[number].hosts:
            raise ConfigError(f'{place}.{key}: {host} is not on network "{fault.network}"')
    impairment.check(f"{place}.impair", fault.impair)


def _check_fit(place: str, fault: Fault, plan: Plan) -> None:
    """What is to befall a host can befall it."""
    host = plan.hosts.get(fault.host)
    if fault.lasting:
        _check_moment(f"{place}.lasting", fault.lasting)
    if host is None:
        return
    if fault.do in _RUNS and host.pulse is None:
        raise ConfigError(f"{place}.host: no pulse runs on {fault.host}; write pulse = {{}} in [hosts.{fault.host}]")
    if fault.do in (Do.NAT, Do.REBIND) and host.nat is None:
        raise ConfigError(f"{place}.host: {fault.host} is no NAT")
    if fault.do in (Do.CARRY, Do.RENUMBER) and not host.at:
        raise ConfigError(f"{place}.host: say at which router it is at first: at = … in [hosts.{fault.host}]")
    if fault.do in (Do.CARRY, Do.ROUTE) and not any({fault.host, fault.to} <= {*each.hosts} for each in plan.networks):
        raise ConfigError(f"{place}.to: no network joins {fault.host} and {fault.to}")


def _check_expectation(place: str, expected: Expectation, plan: Plan) -> None:
    _check_moment(f"{place}.after", expected.after)
    _check_moment(f"{place}.within", expected.within)
    for key, name in (("from", expected.source), ("to", expected.to)):
        _known(f"{place}.{key}", "host", name, plan.hosts)
    if expected.source == expected.to:
        raise ConfigError(f"{place}.to: {expected.to} is to reach itself")
    nodes = [name for name, host in plan.hosts.items() if host.pulse]
    of_mesh = expected.reached in (Reached.DIRECT, Reached.RELAYED) or expected.via or expected.link
    for key, name in (("from", expected.source), ("to", expected.to)):
        if of_mesh and name not in nodes:
            raise ConfigError(f"{place}.{key}: no pulse runs on {name}, so only yes and no can be expected")
    if expected.via:
        _known(f"{place}.via", "node", expected.via, nodes)
    if expected.via and expected.reached is not Reached.RELAYED:
        raise ConfigError(f'{place}.via: only what is relayed goes via a node; write reached = "relayed"')
    if expected.link and expected.reached is Reached.NO:
        raise ConfigError(f"{place}.link: what is not reached has no link")


def _check_moment(place: str, text: str) -> None:
    try:
        seconds(text)
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from error


def _known(place: str, what: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise ConfigError(f'{place}: there is no {what} "{name}"{near(name, known)}')


def _default(name: str) -> Any:
    fields = {each.name: each for each in msgspec.structs.fields(Fault)}
    return fields[name].default


def _line_of(text: str, said: str) -> str:
    """`:7` of the place that an error begins with, or of the nearest part of it that the text has."""
    found = _PLACE.match(said)
    places = tomllines.lines(text)
    path = _path(found[0]) if found else ()
    while path and path not in places:
        path = path[:-1]
    return f":{places[path]}" if path else ""


def _path(place: str) -> tomllines.Path:
    return tuple(int(each) if each.isdigit() else each for each in re.findall(r"[\w-]+", place))
