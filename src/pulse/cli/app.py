"""The command tree: every command by name, none of its code until it is asked for.

Invariant: whatever goes wrong ends here, as `error: …` on standard error and an exit code from `pulse.errors`.
"""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final

from cyclopts import App, CycloptsError, Group, Parameter

from pulse.cli.argv import spelled_out, withdraw_secrets
from pulse.cli.options import NodeFlags
from pulse.cli.output import write_plainly
from pulse.errors import ConfigError, PulseError, SystemRefused

GROUPS = {
    "Run": {
        "start": ("pulse.cli.daemon:start", "Start a node in the background."),
        "stop": ("pulse.cli.stop:stop", "Stop the node and wait until it is gone."),
        "join": ("pulse.cli.daemon:join", "Make this machine a member of a network, once."),
        "setup": ("pulse.cli.setup:app", "Have this machine ask its node for names under .pulse."),
        "restart": ("pulse.cli.operating:restart", "Restart this node, or another one as its operator."),
        "reload": ("pulse.cli.operating:reload", "Read the settings again, without a restart as far as that goes."),
        "install-service": (
            "pulse.cli.service:install_service",
            "Run the node as a service of this machine.",
        ),
        "version": (
            "pulse.cli.version:version",
            "Show which pulse this is: version, commit, data plane.",
        ),
        "completion": ("pulse.cli.completion:completion", "Print what a shell needs to complete commands and flags."),
    },
    "Look": {
        "status": ("pulse.cli.status:status", "Show whether all is well, and the nodes of the mesh."),
        "top": ("pulse.cli.top:top", "Show the mesh in this terminal as it changes."),
        "id": ("pulse.cli.node:identity", "Show who this node is."),
        "cert": ("pulse.cli.cert:app", "Show this node's certificate and when it ends."),
        "ping": ("pulse.cli.node:ping", "Ask a node for a sign of life, and measure."),
        "trace": ("pulse.cli.trace:trace", "Show the way frames take to a node, hop by hop."),
        "why": ("pulse.cli.why:why", "Say why a node is reached as it is, from both ends."),
        "doctor": ("pulse.cli.doctor:doctor", "Look for what is wrong here, and say what to do about it."),
        "stats": ("pulse.cli.stats:stats", "Show how much traffic each node has, and how fast."),
        "events": ("pulse.cli.events:events", "Show what happened in the mesh, as this node saw it."),
        "bug-report": ("pulse.cli.bugreport:bug_report", "Pack what helps to find a fault, without secrets."),
        "logs": ("pulse.cli.logs:logs", "Show what the node in the background wrote down."),
    },
    "Use": {
        "connect": (
            "pulse.cli.connect:connect",
            "Connect stdin and stdout to what is behind a node, as a ProxyCommand.",
        ),
        "forward": ("pulse.cli.forward:forward", "Have ports here lead to what is behind nodes."),
    },
    "Decide": {
        "name": ("pulse.cli.names:name", "Name a node."),
        "tag": ("pulse.cli.names:tag", "Give a node a tag."),
        "untag": ("pulse.cli.names:untag", "Take a tag from a node."),
        "acl": ("pulse.cli.acl:app", "Say who may reach whom, and see what comes of it first."),
        "groups": ("pulse.cli.groups:app", "Name sets of nodes and tags, for rules to go by."),
        "dns": ("pulse.cli.dns:app", "Keep what names under .pulse say besides those of the nodes."),
        "route": ("pulse.cli.routes:app", "See and approve ranges beyond the mesh, and the nodes that lead there."),
        "config": ("pulse.cli.configfile:app", "Keep the whole network config in one file, plan with it and apply it."),
        "remote-config": ("pulse.cli.operating:remote_config", "Change settings of another node, as its operator."),
        "bulk": ("pulse.cli.bulk:bulk", "Tag, untag or revoke all nodes that a pattern fits."),
        "pin": ("pulse.cli.pins:pin", "Reach a node by one neighbour, whatever the scores say."),
        "unpin": ("pulse.cli.pins:unpin", "Reach a node by the best path again."),
        "revoke": ("pulse.cli.revoke:revoke", "Shut a node out for good."),
    },
    "Let in": {
        "invite": ("pulse.cli.tokens:invite", "Make a line to paste on the next machine."),
        "token": ("pulse.cli.tokens:app", "Show the CA's master token; make, list and revoke others."),
        "template": ("pulse.cli.templates:app", "Say what new nodes of a kind get, for invites and tokens."),
        "api-key": ("pulse.cli.apikeys:app", "Make, list and revoke keys to the HTTP API."),
        "ca": ("pulse.cli.ca:app", "Run the certificate authority: its roles, key and journal."),
    },
    "Try": {
        "lab": ("pulse.cli.lab:app", "Build hosts and cables on this machine, to try a mesh on."),
        "demo": ("pulse.cli.demo:app", "Show on this machine what pulse does."),
    },
    "Help": {
        "help": ("pulse.cli.help:tell", "Tell about a topic, such as policy, or about a command."),
    },
}
"""What the overview shows together: where each command lives, and the first line of its help, which a test compares."""

COMMANDS = {name: place for commands in GROUPS.values() for name, place in commands.items()}

INTERRUPTED = 130

WIDE = 10_000
"""Characters of a line that nobody looks at."""

app = App(
    name="pulse",
    version_flags=[],
    help_format="plaintext",
    group_arguments=Group("Arguments", sort_key=len(GROUPS)),
    group_parameters=Group("Parameters", sort_key=len(GROUPS) + 1),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative="", show_default=False),
)


def _register(*, summed_up: bool) -> None:
    """Have every command, and in the overview what is said of it here, which spares it the reading of all of them."""
    for number, (title, commands) in enumerate(GROUPS.items()):
        group = Group(title, sort_key=number)
        for place, (name, (where, summary)) in enumerate(commands.items()):
            if name in app:
                del app[name]
            app.command(where, name=name, help=summary if summed_up else None, group=group, sort_key=place)
        app["--help"].group = group


_register(summed_up=False)
app.command("pulse.cli.version:version", name="--version", show=False)
app.command("pulse.cli.daemon:detached", name="detached", show=False)


FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""What a file that is written to may run into."""


@app.default
def pulse(*peers: str, flags: NodeFlags | None = None) -> None:
    """Run a node of an encrypted mesh network in the foreground, or give a command.

    Parameters
    ----------
    peers
        Nodes to dial first, host:port; the first start may join by an invite (pls_…).
    """
    from pulse.cli import daemon, mistakes

    for peer in peers:
        mistakes.check_peer(peer, COMMANDS)
    daemon.run(peers, flags or NodeFlags())


def main() -> None:
    """Run the command line; never returns."""
    arguments = sys.argv[1:]
    # A shell may start us without them (>&-); what is told then is told to nobody.
    sys.stdout, sys.stderr = sys.stdout or open(os.devnull, "w"), sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    write_plainly()
    try:
        withdraw_secrets(arguments)
        raise SystemExit(_caught(lambda: _run(arguments)))
    except BrokenPipeError:
        # Whoever read us has gone; Python would complain at exit once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _run(arguments: Sequence[str]) -> int:
    if not sys.stdout.isatty() and ({"--help", "-h"} & {*arguments} or arguments[:1] == ["help"]):
        _plain_help()
    if arguments[:1] in (["--help"], ["-h"]):
        _register(summed_up=True)
    if arguments and arguments[0] not in app:
        from pulse.cli import mistakes

        mistakes.check_peer(arguments[0], COMMANDS)
    try:
        return app(spelled_out(arguments), exit_on_error=False, print_error=False) or 0
    except CycloptsError as error:
        from pulse.cli import mistakes

        raise ConfigError(mistakes.explained(error)) from error


def _plain_help() -> None:
    """Help for programs: no boxes, and a line is never cut in two."""
    from rich.console import Console

    app.help_formatter = "plain"
    app.console = Console(width=WIDE)


def _caught(command: Callable[[], int]) -> int:
    try:
        code = command()
        sys.stdout.flush()
    except PulseError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except UnicodeEncodeError as error:
        print(f"error: {error.object!a} is no text in UTF-8, and nothing here has such a name", file=sys.stderr)
        return ConfigError.exit_code
    except OSError as error:
        if error.errno not in FULL:
            raise
        # What is left in the buffer would fail once more as Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"error: cannot write what there is to tell: {error.strerror}", file=sys.stderr)
        return SystemRefused.exit_code
    return code
