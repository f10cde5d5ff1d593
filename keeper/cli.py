"""The command line. Each verb imports what it needs when it runs, so that `keeper version` answers at once.

Data goes to standard output, words to standard error. Every failure leaves through `main`, which maps it to the exit
code of `keeper.app.exitcodes`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from keeper import __version__

app = typer.Typer(
    name="keeper",
    help="Prices, funding and liquidations for a perpetual-futures protocol.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(no_args_is_help=True, help="What may be configured, and what is.")
ctl_app = typer.Typer(no_args_is_help=True, help="Orders to the keeper that runs on this machine.")
app.add_typer(config_app, name="config")
tx_app = typer.Typer(no_args_is_help=True, help="Transactions: what is pending and why, and orders about them.")
journal_app = typer.Typer(no_args_is_help=True, help="The journal, when it cannot be trusted.")
app.add_typer(ctl_app, name="ctl")
app.add_typer(journal_app, name="journal")
app.add_typer(tx_app, name="tx")

DEFAULT_CONFIG = Path("config/keeper.yaml")
Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="KEEPER_CONFIG", help="The global file.", show_default=True)
]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Nonce = Annotated[int, typer.Argument(min=0, help="As `keeper tx list` shows it.")]
OfWallet = Annotated[
    str, typer.Option("--wallet", help="Its name in keeper.yaml or its address, when there are several.")
]


@app.command()
def run(
    config: Config = DEFAULT_CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Decide everything, sign and send nothing.")] = False,
    standby: Annotated[
        str | None,
        typer.Option(
            help="Wait for the keeper at work; go on in its place when it ends or is silent for so long, e.g. 10s."
        ),
    ] = None,
) -> None:
    """Run the keeper until it is told to stop."""
    from keeper.app import live
    from keeper.app import standby as spare
    from keeper.app.places import require_state

    silence_s = _seconds(standby, "--standby")
    if silence_s is None:
        settings = _settings(config)
        require_state(settings)
        live.run(settings, dry_run)
        return
    if dry_run or silence_s < spare.LEAST_SILENCE_S:
        raise typer.BadParameter(f"not with --dry-run, and from {spare.LEAST_SILENCE_S:g}s on", param_hint="--standby")
    settings = _settings(config)
    require_state(settings)
    waited = live.heard_early()
    lock = spare.wait(settings, silence_s)
    live.run(_settings(config), dry_run, lock=lock, waited=waited)  # read again: days may have passed


@app.command()
def check(
    config: Config = DEFAULT_CONFIG,
    offline: Annotated[bool, typer.Option("--offline", help="Read files only.")] = False,
    as_json: Json = False,
) -> None:
    """Check configuration and keys, then every id against venues and chain."""
    from keeper.app.check import command

    raise typer.Exit(command(config, offline=offline, as_json=as_json))


@app.command()
def price(
    market: Annotated[str, typer.Argument(help="E.g. BTC-USD.")],
    config: Config = DEFAULT_CONFIG,
    trace: Annotated[bool, typer.Option("--trace", help="Show everything that the price was computed from.")] = False,
) -> None:
    """Show the running keeper's price of one market."""
    _print(_order(config, "price", market=market, trace="yes" if trace else "no"))


@app.command()
def accounts(
    config: Config = DEFAULT_CONFIG,
    at_risk: Annotated[bool, typer.Option("--at-risk", help="Only those near or below maintenance margin.")] = False,
) -> None:
    """List accounts that the running keeper mirrors."""
    _print(_order(config, "accounts", at_risk="yes" if at_risk else "no"))


@app.command()
def demo(
    for_: Annotated[str | None, typer.Option("--for", help="Stop after this time, e.g. 60s or 5m.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Print lines instead of a live table.")] = False,
    sabotage: Annotated[str | None, typer.Option(help="Break one thing on purpose; the checks must notice.")] = None,
    storm: Annotated[bool, typer.Option("--storm", help="Trouble with venues, chain and keeper on the way.")] = False,
    seed: Annotated[int, typer.Option(help="Another course of prices and traders.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="Leave configuration, journal and logs in this directory.")] = None,
) -> None:
    """Run everything on this machine: chain, protocol, exchanges, traders and the keeper."""
    from keeper.devnet.demo import main as play

    raise typer.Exit(
        play(for_s=_seconds(for_, "--for"), headless=headless, sabotage=sabotage, seed=seed, storm=storm, keep=keep)
    )


@app.command()
def replay(
    tape: Annotated[Path, typer.Argument(help="A tape, or a directory of them such as `tape` in the state directory.")],
    config: Config = DEFAULT_CONFIG,
    report: Annotated[Path | None, typer.Option("--report", help="Write charts of it to this HTML file.")] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Fail when the keeper published otherwise at the time.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Play what was heard through the same code again, on a clock of its own."""
    from keeper.app.replay import command

    raise typer.Exit(command.run(tape, _settings(config), report, verify=verify, as_json=as_json))


@app.command()
def record(
    out: Annotated[Path, typer.Option("--out", help="Directory for the tape.")],
    config: Config = DEFAULT_CONFIG,
    for_: Annotated[str | None, typer.Option("--for", help="Stop after this time, e.g. 60s or 5m.")] = None,
) -> None:
    """Listen to venues and chain, decide everything, send nothing, and keep all that was heard."""
    from keeper.app import record as recording

    recording.run(_settings(config), out, _seconds(for_, "--for"))


State = Annotated[
    Path | None, typer.Option("--state", help="Look into this state directory, e.g. a copy from another machine.")
]
Frames = Annotated[bool, typer.Option("--frames", help="The raw messages too, as far as the tape holds them.")]


@app.command()
def explain(
    what: Annotated[
        str, typer.Argument(metavar="TX|MARKET@TIME|ROUND", help="E.g. BTC-USD@2026-01-31T12:00:00 (UTC).")
    ],
    config: Config = DEFAULT_CONFIG,
    state: State = None,
    frames: Frames = False,
    as_json: Json = False,
) -> None:
    """Show what a published price was computed from, down to each venue's message."""
    from keeper.app.provenance import command

    raise typer.Exit(command.explain(config, state, what, frames=frames, as_json=as_json))


@app.command()
def verify(
    what: Annotated[
        str, typer.Argument(metavar="[TX|MARKET@TIME|ROUND]", help="One batch; else --last or --since.")
    ] = "",
    config: Config = DEFAULT_CONFIG,
    last: Annotated[int | None, typer.Option("--last", min=1, help="The newest so many.")] = None,
    since: Annotated[str, typer.Option("--since", help="All since this time (UTC).")] = "",
    state: State = None,
    frames: Frames = False,
    as_json: Json = False,
) -> None:
    """Compute a published price again from its evidence, and check evidence, signatures and chain. Exit 1 if any fails."""
    from keeper.app.provenance import command

    if bool(what) == bool(last or since):
        raise typer.BadParameter("name one batch, or give --last or --since")
    raise typer.Exit(command.verify(config, state, what, last, since, frames=frames, as_json=as_json))


@app.command()
def version(as_json: Json = False) -> None:
    """Print the version."""
    sys.stdout.write(json.dumps({"version": __version__}) + "\n" if as_json else f"{__version__}\n")


@config_app.command("schema")
def config_schema(
    market: Annotated[bool, typer.Option("--market", help="Of a market file instead of keeper.yaml.")] = False,
) -> None:
    """Print the JSON Schema, for editors: every setting, and every method with its options and how far it is proven."""
    from keeper.app.configview import schema

    _print(schema(market=market))


@config_app.command("show")
def config_show(config: Config = DEFAULT_CONFIG) -> None:
    """Print the configuration in force, defaults included, without secrets."""
    settings = _settings(config)
    _print({**settings.public(), "hash": settings.hash})


@config_app.command("reference")
def config_reference() -> None:
    """Print config/README.md."""
    from keeper.settings.reference import reference

    sys.stdout.write(reference())


@ctl_app.command("status")
def ctl_status(config: Config = DEFAULT_CONFIG) -> None:
    """Show what /status shows."""
    _print(_order(config, "status"))


@ctl_app.command("pause")
def ctl_pause(market: str, config: Config = DEFAULT_CONFIG) -> None:
    """Stop publishing, liquidating and settling funding in one market."""
    _print(_order(config, "pause", market=market))


@ctl_app.command("resume")
def ctl_resume(market: str, config: Config = DEFAULT_CONFIG) -> None:
    """Take a paused or halted market up again."""
    _print(_order(config, "resume", market=market))


@ctl_app.command("reload")
def ctl_reload(config: Config = DEFAULT_CONFIG) -> None:
    """Read the configuration again. Fails, and changes nothing, when it has a fault or needs a restart."""
    _print(_order(config, "reload"))


@ctl_app.command("halt")
def ctl_halt(
    config: Config = DEFAULT_CONFIG,
    reason: Annotated[str, typer.Option(help="Why, for whoever looks at it later.")] = "",
) -> None:
    """Send nothing from now on, in any market, after a restart too. Watching and deciding go on."""
    _print(_order(config, "halt", reason=reason))


@ctl_app.command("unhalt")
def ctl_unhalt(config: Config = DEFAULT_CONFIG) -> None:
    """Take a halt back. A halt file has to be deleted."""
    _print(_order(config, "unhalt"))


@tx_app.command("list")
def tx_list(
    config: Config = DEFAULT_CONFIG,
    settled: Annotated[bool, typer.Option("--all", help="The newest settled ones too.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Once a second, until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """List pending transactions; without a running keeper those in its journal."""
    from keeper.app import txcommands

    look = txcommands.watch if watch else txcommands.show_list
    look(config, settled=settled, as_json=as_json)


@tx_app.command("show")
def tx_show(
    what: Annotated[
        str, typer.Argument(metavar="NONCE|HASH|INTENT", help="The beginning of a hash or an intent will do.")
    ],
    config: Config = DEFAULT_CONFIG,
    wallet: OfWallet = "",
    as_json: Json = False,
) -> None:
    """Show everything about one transaction: each attempt, receipt, outcome, and why it waits."""
    from keeper.app import txcommands

    txcommands.show_one(config, what, wallet, as_json=as_json)


@tx_app.command("bump")
def tx_bump(nonce: Nonce, config: Config = DEFAULT_CONFIG, wallet: OfWallet = "") -> None:
    """Raise the fee of a pending transaction now, within the limit."""
    from keeper.app import txcommands

    raise typer.Exit(txcommands.command(config, "tx_bump", nonce=str(nonce), wallet=wallet))


@tx_app.command("cancel")
def tx_cancel(nonce: Nonce, config: Config = DEFAULT_CONFIG, wallet: OfWallet = "") -> None:
    """Replace a pending transaction by an empty transfer to ourselves at the same nonce."""
    from keeper.app import txcommands

    raise typer.Exit(txcommands.command(config, "tx_cancel", nonce=str(nonce), wallet=wallet))


@tx_app.command("plunge")
def tx_plunge(
    config: Config = DEFAULT_CONFIG,
    wallet: OfWallet = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Cancel everything that is pending, all at once."""
    from keeper.app import txcommands

    if not yes:
        count = txcommands.pending(config, wallet)
        typer.confirm(f"Cancel all {count} pending transactions?", abort=True, err=True)
    raise typer.Exit(txcommands.command(config, "tx_plunge", wallet=wallet))


@journal_app.command("rebuild")
def journal_rebuild(
    config: Config = DEFAULT_CONFIG,
    wait: Annotated[
        str | None, typer.Option("--wait", help="So long for pending transactions that nothing is known of, e.g. 5m.")
    ] = None,
    plunge: Annotated[bool, typer.Option("--plunge", help="Cancel those with the next run.")] = False,
) -> None:
    """Move a journal aside that cannot be read, save what can, and take the wallets' nonces from the chain."""
    from keeper.app.rebuild import rebuild

    rebuild(_settings(config), wait_s=_seconds(wait, "--wait") or 0.0, plunge=plunge)


def main() -> None:
    """Entry point: every exception becomes an exit code and a sentence here. Usage errors are typer's, with code 2."""
    from keeper.app.exitcodes import exit_code
    from keeper.errors import KeeperError

    try:
        app()
    except KeeperError as error:
        sys.stderr.write(f"keeper: {_safe(error)}\n")
        sys.exit(exit_code(error))
    except Exception as error:  # noqa: BLE001  # one of the three fences: a defect ends here, its traceback without locals
        sys.exit(_crashed(error))


def _safe(error: BaseException) -> str:
    """Its sentence, line by line, without control characters or the secrets in URLs."""
    from keeper.app.scrub import text

    return "\n".join(text(line) for line in str(error).split("\n"))


def _crashed(error: Exception) -> int:
    from keeper.app.exitcodes import exit_code, sentences
    from keeper.app.logs import traceback_of
    from keeper.app.scrub import text

    lines = [f"keeper: {each}" for each in sentences(error)] or traceback_of(error)
    sys.stderr.write("".join(f"{text(line)}\n" for line in lines))
    return exit_code(error)


def _settings(config: Path) -> Any:
    from keeper.app.registries import REGISTRIES
    from keeper.settings.load import load

    return load(config, REGISTRIES)


def _order(config: Path, verb: str, **words: str) -> Any:
    from keeper.app.admin import order
    from keeper.settings.load import admin_sockets

    return order(admin_sockets(config), {"verb": verb, **words})


def _print(answer: Any) -> None:
    """JSON, and text as it is. A terminal gets the same: it can be piped and read."""
    sys.stdout.write(answer.rstrip("\n") + "\n" if isinstance(answer, str) else json.dumps(answer, indent=2) + "\n")


def _seconds(text: str | None, option: str) -> float | None:
    """`60s`, `5m` or `60` in seconds. Raises a usage error."""
    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in ("s", "m", "h") else (text, "s")
    if not number.isdecimal() or not int(number):
        raise typer.BadParameter("write a time like 60s or 5m", param_hint=option)
    return float(int(number) * {"s": 1, "m": 60, "h": 3600}[unit])
