"""Every metric that the keeper exports: its kind, its labels and what it means. docs/metrics.md shows this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)
BLOCKS = (0.0, 1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 50.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """Labels take values from the configuration or from an enumeration: never an account, a hash or an error's text."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = SECONDS


def _metric(kind: Kind, name: str, labels: str, meaning: str, buckets: tuple[float, ...] = SECONDS) -> Metric:
    return Metric(f"keeper_{name}", kind, tuple(labels.split()), meaning, buckets)


TABLE: tuple[Metric, ...] = (
    _metric("gauge", "build_info", "version commit", "Always 1; says which build runs."),
    _metric(
        "gauge", "config_info", "sha256", "Always 1; the hash of the configuration in force, as evidence names it."
    ),
    _metric("counter", "config_reloads_total", "outcome", "Times that the configuration was read again."),
    _metric("gauge", "ready", "", "1 while /readyz says ready."),
    _metric("gauge", "service_last_beat_timestamp_seconds", "service", "When a loop last went round."),
    _metric("gauge", "loop_lag_seconds", "", "How late the event loop last was."),
    _metric("gauge", "mailbox_depth", "mailbox", "Acts waiting in a bounded queue."),
    _metric(
        "gauge",
        "evidence_bytes",
        "",
        "Size of the compressed records behind published prices, without what the journal holds.",
    ),
    _metric("gauge", "tape_bytes", "", "Size of the tape on disk."),
    _metric("gauge", "tape_lines_lost", "", "Lines that the disk did not take since the start."),
    _metric("counter", "series_refused_total", "", "Metric series not opened because a metric had too many."),
    _metric("gauge", "feed_connected", "source", "1 while the venue's channel of this source is up."),
    _metric("counter", "feed_reconnects_total", "source reason", "Connections that ended, by why."),
    _metric("counter", "frames_dropped_total", "source reason", "Messages not understood or refused."),
    _metric("counter", "quotes_received_total", "source", "Quotes, books and trades understood."),
    _metric("counter", "quotes_rejected_total", "market source reason", "Times that an index stopped using a source."),
    _metric("gauge", "quote_age_seconds", "market source", "Age of a source's quote when the index was computed."),
    _metric("gauge", "index_price", "market", "Our spot price, in quote currency."),
    _metric("gauge", "index_sources", "market", "Quotes that the index used."),
    _metric("counter", "index_withheld_total", "market reason", "Times that an index began to be withheld."),
    _metric(
        "gauge",
        "source_bad_ratio",
        "market source",
        "Share of a source's looks at which it was refused for what it said, over the scorecard's memory.",
    ),
    _metric("gauge", "source_apart_bps", "market source", "Its mean distance from the index while it was not refused."),
    _metric("gauge", "source_quarantined", "market source", "1 while it has no vote, for its record."),
    _metric("gauge", "market_condition", "market", "0 NORMAL, 1 DEGRADED, 2 STALE, 3 HALT."),
    _metric("gauge", "mark_price", "market", "Our perp price, in quote currency."),
    _metric(
        "gauge", "mark_divergence_ratio", "market", "Distance of our mark from our index, as a fraction with its sign."
    ),
    _metric(
        "gauge",
        "funding_estimate_ratio",
        "market",
        "Rate that the chosen funding method would charge at the next boundary.",
    ),
    _metric("gauge", "oracle_price", "market", "Mark that the chain holds."),
    _metric("gauge", "oracle_deviation_ratio", "market", "Distance of our mark from the chain's, as a fraction."),
    _metric("gauge", "oracle_age_seconds", "market", "Age of the chain's price."),
    _metric("gauge", "breaker_open", "market reason", "1 while a jump waits for confirmation or a market is halted."),
    _metric(
        "counter", "reports_total", "market trigger outcome", "Prices decided for the chain, by what came of them."
    ),
    _metric("gauge", "report_last_success_timestamp_seconds", "market", "When the chain last took our price."),
    _metric("gauge", "funding_next_timestamp_seconds", "market", "The next funding boundary."),
    _metric("counter", "funding_settlements_total", "market outcome", "Funding settlements seen on chain."),
    _metric("gauge", "funding_last_success_timestamp_seconds", "market", "The last boundary settled."),
    _metric("histogram", "publish_seconds", "market", "From the decision on a price to the block that holds it."),
    _metric("histogram", "funding_late_blocks", "market", "Blocks between a boundary and its settlement.", BLOCKS),
    _metric("gauge", "accounts_indexed", "protocol", "Accounts in the mirror."),
    _metric("gauge", "account_index_lag_blocks", "protocol", "Blocks that the mirror is behind."),
    _metric("gauge", "account_index_certified_block", "protocol", "Newest block at which the chain's sums agreed."),
    _metric("counter", "account_index_rebuilds_total", "protocol", "Times that the mirror was rebuilt from the chain."),
    _metric("gauge", "accounts_liquidatable", "market", "Accounts below maintenance now."),
    _metric("counter", "health_disagreements_total", "protocol", "Accounts that the chain judged otherwise than we."),
    _metric("counter", "liquidations_total", "market outcome", "Liquidations seen on chain, by whose they were."),
    _metric("counter", "tx_total", "purpose outcome", "Intents that reached an end."),
    _metric("gauge", "tx_pending", "signer", "Transactions under way."),
    _metric("counter", "tx_attempts_total", "purpose answer", "Transactions handed to a node, by its answer."),
    _metric("counter", "tx_bumps_total", "purpose", "Replacements with a higher fee."),
    _metric("counter", "tx_reorged_total", "signer", "Mined transactions that a reorganisation took back."),
    _metric("histogram", "tx_mined_seconds", "purpose", "From the first broadcast to the block."),
    _metric("counter", "tx_fee_wei_total", "purpose", "Fees paid."),
    _metric("counter", "tx_fee_limit_total", "purpose", "Times that chain.max_fee_gwei was not enough."),
    _metric(
        "counter",
        "tx_funds_limit_total",
        "purpose",
        "Times that a replacement did not fit the wallet's balance beside what is under way.",
    ),
    _metric("gauge", "tx_nonce", "signer kind", "Next nonce by our journal and by the chain."),
    _metric("counter", "tx_nonce_used_elsewhere_total", "signer", "Nonces used by a transaction that is not ours."),
    _metric(
        "gauge", "tx_forbidden", "reason", "1 while transactions are not sent: dry run, kill switch, paused contracts."
    ),
    _metric("gauge", "wallet_paused", "signer", "1 while a wallet sends nothing, or not all that waits: funds."),
    _metric("gauge", "wallet_reserved_wei", "signer", "What everything under way may cost at most."),
    _metric("gauge", "wallet_runway_seconds", "signer", "For how long the balance lasts at the pace of the last day."),
    _metric("gauge", "signer_balance_wei", "signer", "What the sending key can pay with."),
    _metric(
        "gauge", "market_open", "market", "1 in a session of the market's calendar, 0 while it opens or is closed."
    ),
    _metric("gauge", "calendar_days_left", "market", "Days until the market's calendar ends."),
    _metric("gauge", "sequencer_up", "", "1 while the rollup's sequencer is up and its grace is over."),
    _metric("gauge", "chain_head_block", "chain", "Newest block seen."),
    _metric("gauge", "chain_head_timestamp_seconds", "chain", "Time of the newest block."),
    _metric("counter", "chain_reorgs_total", "chain", "Reorganisations seen."),
    _metric("counter", "rpc_requests_total", "endpoint method outcome", "JSON-RPC requests."),
    _metric(
        "gauge", "rpc_head_lag_blocks", "endpoint", "How far an endpoint stands behind the others; ahead is negative."
    ),
    _metric("gauge", "rpc_stream_connected", "endpoint", "1 while a node announces its heads to us."),
    _metric("counter", "rpc_stream_ended_total", "endpoint reason", "Subscriptions that ended, by why."),
    _metric("counter", "rpc_stream_heads_total", "endpoint", "Heads that a node announced."),
    _metric("histogram", "rpc_seconds", "endpoint", "Time that an endpoint took to answer."),
)

METRICS = {metric.name: metric for metric in TABLE}
