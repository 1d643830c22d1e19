"""`pulse doctor`: what is wrong with this machine and its node, the gravest first, each with what to do.

Invariant: it works whether a node runs or not; the exit code is 1 if anything is wrong, and notes are no wrongs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from pulse import release, settings
from pulse.calls.events import EventCalls
from pulse.cli.options import Config
from pulse.cli.output import print_json
from pulse.cli.values import DataDir, Json
from pulse.client import Client, candidates
from pulse.config import NodeConfig
from pulse.core.doctor import CHECKS, Diagnosis, examine
from pulse.core.findings import Finding, Gravity
from pulse.core.symptoms import Symptoms
from pulse.errors import ConfigError, LinkError, PulseError
from pulse.schemas.operating import Checkup
from pulse.wording import counted

PATIENCE: Final = 4.0
"""Seconds for a node to tell of itself; one that is well does so at once."""

WRONG: Final = 1
_SIGNS: Final = {Gravity.BROKEN: "broken ", Gravity.WARNING: "warning", Gravity.NOTE: "note   "}


def doctor(*, json: Json = False, config: Config = None, data_dir: DataDir = None) -> int:
    """Look for what is wrong here, and say what to do about it.

    More: pulse help troubleshooting
    """
    wanted, problem = settings_of(config, data_dir)
    found = diagnose(wanted, problem, data_dir)
    if json:
        print_json(answer(found))
    else:
        print("\n".join(_lines(found)))
    return 0 if found.is_well else WRONG


def diagnose(wanted: NodeConfig, problem: str, data_dir: Path | None) -> Diagnosis:
    """What is found of this machine and its node."""
    from pulse.examination.look import look

    checkup, broken, silence = _asked(data_dir)
    machine = look(wanted, problem, checkup, silence, release.version())
    if broken:
        machine = replace(machine, journal_problem=broken)
    symptoms = Symptoms(machine, checkup.running if checkup else None)
    return examine(symptoms)


def settings_of(file: Path | None, data_dir: Path | None) -> tuple[NodeConfig, str]:
    """The settings a node would start with, and what is wrong with them."""
    flags: dict[str, object] = {} if data_dir is None else {"data-dir": str(data_dir)}
    try:
        return settings.load(flags, (), file), ""
    except ConfigError as error:
        return settings.load(flags, (), None, {"PULSE_CONFIG": "/dev/null"}), str(error)


def _asked(data_dir: Path | None) -> tuple[Checkup | None, str, str]:
    """What the node that runs tells, what is wrong with its journal, and why it tells nothing."""
    silence = ""
    for path in candidates(data_dir):
        try:
            with Client(path, PATIENCE) as client:
                told = client.call("GET", "/api/doctor", Checkup)
                return told, _journal(client), ""
        except LinkError as error:
            silence = silence if not path.exists() else str(error)
        except PulseError as error:
            silence = str(error).partition("\n")[0]
    return None, "", silence


def _journal(client: Client) -> str:
    try:
        found = EventCalls(client).events_verify()
    except PulseError as error:
        return str(error).partition("\n")[0]
    return "" if found.broken is None else f"entry {found.broken}: {found.reason}"


def answer(found: Diagnosis) -> dict[str, object]:
    """The findings for programs."""
    return {
        "well": found.is_well,
        "findings": [{**msgspec.to_builtins(each), "gravity": each.gravity.name.lower()} for each in found.findings],
        "fine": found.well,
        "unseen": dict(found.unseen),
    }


def _lines(found: Diagnosis) -> list[str]:
    told = [_sentence(found)]
    for each in found.findings:
        told += _shown(each)
    if found.unseen:
        told += ["", "not looked at:", *(f"  {name:<11}  {why}" for name, why in found.unseen)]
    return told


def _sentence(found: Diagnosis) -> str:
    wrong = sum(each.gravity is not Gravity.NOTE for each in found.findings)
    looked = len(CHECKS) - len(found.unseen)
    if wrong:
        return f"{counted(wrong, 'thing')} to see to ({counted(looked, 'check')})."
    return f"All well ({counted(looked, 'check')})."


def _shown(finding: Finding) -> list[str]:
    return ["", f"{_SIGNS[finding.gravity]}  {finding.check}: {finding.what}", f"         {finding.fix}"]
