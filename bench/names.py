"""How many questions a second a node answers: `bench/names.py --json`, with dnsperf of Debian.

One node and one client on one host. Invariant: names that are asked again and names that are asked once are told apart,
for only the first are answered from memory.
"""

import argparse
import re
import shutil

import msgspec

from pulse.errors import SystemRefused
from pulse.lab.host import Host
from pulse.lab.lab import Lab
from rig import found, main, processor_times, stolen

ONCE_A_SECOND = 1500
"""Names that nobody asked for before: fewer than a node works out, so that each is answered."""

_FIGURE = re.compile(r"^\s*(?P<name>[A-Za-z ()]+):\s+(?P<value>[0-9.]+)", re.MULTILINE)


class Result(msgspec.Struct):
    """Answers a second, milliseconds."""

    asked_again_qps: float
    asked_again_ms: float
    asked_again_lost: float
    asked_once_qps: float
    asked_once_ms: float
    asked_once_lost: float
    steal_percent: float


def measure(options: argparse.Namespace) -> Result:
    """Ask the same names again and again, then each name once."""
    if not shutil.which("dnsperf"):
        raise SystemRefused("this takes dnsperf: apt-get install dnsperf")
    before = processor_times()
    with Lab() as lab:
        host = next(iter(lab.hosts.values()))
        found(host, "--dns")
        again = "".join(f"x{number}.a.pulse A\na.pulse AAAA\n" for number in range(20))
        many = perform(host, again, options.seconds)
        once = "".join(f"n{number}.a.pulse A\n" for number in range(int(ONCE_A_SECOND * options.seconds) + 1000))
        few = perform(host, once, options.seconds, "-Q", str(ONCE_A_SECOND))
    return Result(*many, *few, stolen(before, processor_times()))


def perform(host: Host, questions: str, seconds: float, *flags: str) -> tuple[float, float, float]:
    """Answers a second, their latency, and questions without one."""
    asked = host.directory / "questions"
    asked.write_text(questions)
    command = f"dnsperf -d {asked} -s 127.0.0.1 -p 5353 -l {seconds:g} -q 50 -t 2".split()
    said = host.run([*command, *flags], timeout=seconds + 60).stdout
    figures = {each["name"].strip(): float(each["value"]) for each in _FIGURE.finditer(said)}
    return (
        round(figures["Queries per second"]),
        round(figures["Average Latency (s)"] * 1000, 2),
        figures["Queries lost"],
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each of the two runs")
    main(parser, measure)
