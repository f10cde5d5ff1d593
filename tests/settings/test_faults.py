"""What an operator gets for each mistake, to the letter."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from keeper.app.registries import REGISTRIES
from keeper.settings.faults import SettingsRefused
from keeper.settings.load import admin_sockets, load
from tests.settings.examples import GLOBAL, INDEX, MARKET, written

KEEPER, BTC, USDT = "keeper.yaml", "markets/BTC-USD.yaml", "markets/USDT-USD.yaml"
KEY = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"

PUSHER = "\n  wallets: {pusher: {kind: key_file, file: pusher.key}}"

TABLE: list[tuple[str, str, str, str, str]] = [
    # id, file, what is written, what stands there instead, what is said
    ("unknown key", KEEPER, "chain: {id", "chian: {id", "1:1: chian: unknown key; did you mean chain?"),
    ("missing key", KEEPER, "chain: {id: 31337, ", "chain: {", "1:1: chain: id is missing"),
    ("wrong type", KEEPER, "id: 31337", "id: mainnet", "1:9: chain.id: write a whole number"),
    ("bool for number", KEEPER, "id: 31337", "id: true", "1:9: chain.id: write a whole number"),
    ("float for number", KEEPER, "id: 31337", "id: 1.5", "1:9: chain.id: write a whole number"),
    (
        "not a url",
        KEEPER,
        "http://127.0.0.1:8545",
        "127.0.0.1:8545",
        "1:26: chain.rpc[0]: write a URL that begins with http:// or https://",
    ),
    ("user in url", KEEPER, "http://127", "http://user:pass@127", "1:26: chain.rpc[0]: no user or password in a URL"),
    (
        "plain http",
        KEEPER,
        "http://127.0.0.1",
        "http://10.0.0.9",
        "1:26: chain.rpc[0]: http:// to another machine; use https://, or set chain.plain_http",
    ),
    (
        "final before it is done",
        KEEPER,
        "chain: {id",
        "chain: {confirmations: 5, finality_blocks: 4, id",
        "1:27: chain.finality_blocks: less than chain.confirmations, 5",
    ),
    (
        "unknown protocol",
        KEEPER,
        "protocol: reference",
        "protocol: referenz",
        "3:10: deployments.main.protocol: unknown protocol; did you mean reference?",
    ),
    (
        "unknown option",
        KEEPER,
        "lens:",
        "lense:",
        "3:141: deployments.main.lense: unknown option of reference; did you mean lens?",
    ),
    (
        "addresses for an address",
        KEEPER,
        '"0x1111111111111111111111111111111111111111"',
        '["0x1111111111111111111111111111111111111111"]',
        "3:31: deployments.main.oracle: write an address: 0x and 40 hexadecimal digits, in quotes",
    ),
    (
        "bad address",
        KEEPER,
        "0x1111111111111111111111111111111111111111",
        "0x11",
        "3:31: deployments.main.oracle: write an address: 0x and 40 hexadecimal digits, in quotes",
    ),
    (
        "unknown signer",
        KEEPER,
        "sender: {kind: key_file",
        "sender: {kind: keyfile",
        "6:12: signers.sender.kind: unknown kind; did you mean key_file?",
    ),
    (
        "key in file",
        KEEPER,
        "report.key",
        KEY,
        "5:36: signers.reports[0].file: 32 bytes of hexadecimal look like a private key: name a file instead",
    ),
    (
        "key as an option of a source",
        BTC,
        "{kind: kraken,",
        f"{{key: {KEY}, kind: kraken,",
        "7:11: sources[2].key: 32 bytes of hexadecimal look like a private key: name a file instead",
    ),
    (
        "exposed page",
        KEEPER,
        "markets: [",
        "ops: {host: 0.0.0.0}\nmarkets: [",
        "7:7: ops.host: not a loopback address; set ops.expose: true if this page may be seen by others",
    ),
    (
        "unknown lane",
        KEEPER,
        "file: sender.key}",
        f"file: sender.key}}{PUSHER}\n  lanes: {{prise: pusher}}",
        "8:11: signers.lanes.prise: unknown lane; did you mean price?",
    ),
    (
        "unknown wallet",
        KEEPER,
        "file: sender.key}",
        f"file: sender.key}}{PUSHER}\n  lanes: {{price: pushr}}",
        "8:11: signers.lanes.price: unknown wallet; did you mean pusher?",
    ),
    (
        "lane without wallets",
        KEEPER,
        "  sender: {kind: key_file, file: sender.key}",
        "  lanes: {price: pusher}",
        "6:11: signers.lanes.price: unknown wallet; there is none yet: add `sender` or signers.wallets",
    ),
    (
        "wallet without a lane",
        KEEPER,
        "file: sender.key}",
        f"file: sender.key}}{PUSHER}",
        "7:13: signers.wallets.pusher: no lane sends with it; name it under signers.lanes, or remove it",
    ),
    (
        "wallet of that name",
        KEEPER,
        "file: sender.key}",
        f"file: sender.key}}{PUSHER.replace('pusher', 'sender')}",
        "7:13: signers.wallets.sender: that is the name of signers.sender; choose another",
    ),
    (
        "sender without a lane",
        KEEPER,
        "file: sender.key}",
        f"file: sender.key}}{PUSHER}\n  lanes: {{safety: pusher, price: pusher, liquidation: pusher, funding: pusher, housekeeping: pusher}}",
        "6:3: signers.sender: no lane sends with it; name it under signers.lanes, or remove it",
    ),
    (
        "lanes without a wallet",
        KEEPER,
        "\n  sender: {kind: key_file, file: sender.key}",
        f"{PUSHER}\n  lanes: {{price: pusher, funding: pusher}}",
        "4:1: signers: no wallet for safety, liquidation, housekeeping; add `sender`, or name one under signers.lanes",
    ),
    (
        "unknown kind of a wallet",
        KEEPER,
        "file: sender.key}",
        f"file: sender.key}}{PUSHER.replace('key_file', 'keyfile')}\n  lanes: {{price: pusher}}",
        "7:22: signers.wallets.pusher.kind: unknown kind; did you mean key_file?",
    ),
    (
        "websocket venue by http",
        KEEPER,
        "markets: [",
        "venues: {kraken: {url: 'https://ws.example.org'}}\nmarkets: [",
        "7:19: venues.kraken.url: write a URL that begins with ws:// or wss://",
    ),
    (
        "streaming venue by websocket",
        KEEPER,
        "markets: [",
        "venues: {pyth_hermes: {url: 'wss://ws.example.org'}}\nmarkets: [",
        "7:24: venues.pyth_hermes.url: write a URL that begins with http:// or https://",
    ),
    (
        "key of a venue that takes none",
        KEEPER,
        "markets: [",
        "venues: {kraken: {key_file: api.key}}\nmarkets: [",
        "7:19: venues.kraken.key_file: kraken takes no key",
    ),
    (
        "no market file",
        KEEPER,
        "markets/*.yaml",
        "market/*.yaml",
        "7:11: markets[0]: no file matches market/*.yaml: there is no directory market",
    ),
    ("duplicate key", BTC, "market_no: 1", "market_no: 1\nmarket_no: 2", "4:1: market_no: the key stands here twice"),
    ("anchor", BTC, "market: BTC-USD", "market: &name BTC-USD", "1:9: market: anchors and aliases are not allowed"),
    ("tag", BTC, "market_no: 1", "market_no: !!python/object 1", "3:12: market_no: tags are not allowed"),
    ("not yaml", BTC, "market_no: 1", "market_no: [1", "4:8: not YAML: expected ',' or ']', but got ':'"),
    ("norway", BTC, "market_no: 1", "market_no: no", "3:1: market_no: write a whole number"),
    ("octal", BTC, "market_no: 1", "market_no: 010", "3:1: market_no: write a whole number"),
    ("unknown venue", BTC, "kind: kraken", "kind: krakn", "7:6: sources[2].kind: unknown venue; did you mean kraken?"),
    (
        "closed venue",
        BTC,
        "kind: kraken",
        "kind: bittrex",
        "7:6: sources[2].kind: Bittrex closed on 2023-12-04: it has no prices any more; remove it",
    ),
    (
        "bankrupt venue",
        BTC,
        "kind: kraken",
        "kind: ftx",
        "7:6: sources[2].kind: FTX has been bankrupt since 2022-11-11: it has no prices any more; remove it",
    ),
    (
        "address of a closed venue",
        KEEPER,
        "markets: [",
        "venues: {ftx: {rest_url: https://ftx.com}}\nmarkets: [",
        "7:10: venues.ftx: FTX has been bankrupt since 2022-11-11: it has no prices any more; remove it",
    ),
    (
        "unknown source key",
        BTC,
        "symbol: BTC-USD",
        "symbl: BTC-USD",
        "6:22: sources[1].symbl: unknown key; did you mean symbol?",
    ),
    (
        "same source twice",
        BTC,
        "kind: kraken, symbol: BTC/USD",
        "kind: coinbase, symbol: BTC-USD",
        "7:5: sources[2]: coinbase:BTC-USD stands here twice: one venue would count double",
    ),
    (
        "unknown funding key",
        BTC,
        "{premium: derived}",
        "{premum: derived}",
        "11:11: funding.premum: unknown key; did you mean premium?; options need `method`",
    ),
    (
        "unknown funding method",
        BTC,
        "{premium: derived}",
        "{premium: derived, method: binanse}",
        "11:29: funding.method: unknown method; did you mean binance?",
    ),
    (
        "funding option misspelt",
        BTC,
        "{premium: derived}",
        "{premium: derived, method: binance, intrest: 0.0001}",
        "11:46: funding.intrest: unknown option of binance; did you mean interest?",
    ),
    (
        "funding option out of range",
        BTC,
        "{premium: derived}",
        "{premium: derived, method: binance, every_s: 0}",
        "11:1: funding: need 0 < every_s <= interval_s",
    ),
    (
        "funding ratio with a percent sign",
        BTC,
        "{premium: derived}",
        "{premium: derived, method: binance, cap: 2%}",
        '11:46: funding.cap: write a plain decimal number of at most 18 digits after the point, e.g. "0.0001"',
    ),
    (
        "funding versions out of order",
        BTC,
        "{premium: derived}",
        '{premium: derived, method: binance, versions: [{from: "2026-02-01T00:00:00Z"}, {from: "2026-01-01T00:00:00Z"}]}',
        "11:46: funding.versions: the version of 1767225600 must come before the one of 1769904000, and no two at once",
    ),
    (
        "funding version without a zone",
        BTC,
        "{premium: derived}",
        '{premium: derived, method: binance, versions: [{from: "2026-02-01T00:00:00"}]}',
        '11:58: funding.versions[0].from: write a time of whole seconds with its zone, e.g. "2026-01-01T00:00:00Z"',
    ),
    (
        "funding version with a wrong option",
        BTC,
        "{premium: derived}",
        '{premium: derived, method: binance, versions: [{from: "2026-02-01T00:00:00Z", clamp: -1}]}',
        "11:57: funding.versions[0]: clamp, cap and max_change cannot be negative",
    ),
    (
        "funding versions of nothing",
        BTC,
        "{premium: derived}",
        '{premium: derived, versions: [{from: "2026-02-01T00:00:00Z"}]}',
        "11:29: funding.versions: versions of what? name a `method`",
    ),
    (
        "no conversion",
        BTC,
        "conversions: {USDT: USDT-USD}\n",
        "",
        "5:38: sources[0].quote: no conversion from USDT to USD; add it to `conversions`",
    ),
    (
        "conversion without file",
        BTC,
        "USDT: USDT-USD",
        "USDT: USDT-USD.X",
        "8:15: conversions.USDT: no market file for USDT-USD.X; did you mean USDT-USD?",
    ),
    (
        "empty band",
        BTC,
        "USDT: USDT-USD",
        'USDT: {index: USDT-USD, low: "1.1", high: "0.9"}',
        "8:15: conversions.USDT: low must be below high",
    ),
    (
        "nineteen digits",
        BTC,
        "USDT: USDT-USD",
        'USDT: {index: USDT-USD, low: "0.9000000000000000001"}',
        "8:39: conversions.USDT.low: at most 18 digits after the point",
    ),
    (
        "quorum",
        BTC,
        "min_sources: 3, min",
        "min_sources: 4, min",
        "9:40: index.min_sources: asks for 4 sources of the 3 that the file has",
    ),
    (
        "quote groups",
        BTC,
        "min_quote_groups: 2",
        "min_quote_groups: 3",
        "9:56: index.min_quote_groups: asks for 3 quote currencies of the 2 that the file has",
    ),
    (
        "pair",
        USDT,
        "method: median",
        "method: median, min_sources: 2",
        "6:1: index: USDT-USD: min_sources below 3 needs allow_two, and is never below 2",
    ),
    (
        "guard",
        BTC,
        "confirm_sources: 3",
        "confirm_sources: 7",
        "13:42: guard.confirm_sources: asks for 7 sources of the 3 that the file has",
    ),
    (
        "unknown index method",
        BTC,
        "clamped_weighted_mean",
        "weihted_mean",
        "9:9: index.method: unknown method; did you mean weighted_mean?",
    ),
    (
        "option of no method",
        BTC,
        "method: clamped_weighted_mean, ",
        "method: clamped_weighted_mean, clamp_bsp: 50, ",
        "9:40: index.clamp_bsp: unknown key for method clamped_weighted_mean; did you mean clamp_bps?",
    ),
    (
        "index key misspelt",
        BTC,
        "min_quote_groups: 2",
        "min_quote_group: 2",
        "9:56: index.min_quote_group: unknown key for method clamped_weighted_mean; did you mean min_quote_groups?",
    ),
    (
        "option of another method",
        BTC,
        "method: clamped_weighted_mean, ",
        "method: trimmed_mean, clamp_bps: 50, ",
        "9:31: index.clamp_bps: unknown key for method trimmed_mean; it is an option of clamped_weighted_mean",
    ),
    (
        "method's own limit",
        BTC,
        "method: clamped_weighted_mean, ",
        "method: clamped_weighted_mean, clamp_bps: 10000, ",
        "9:1: index: need 0 <= clamp_bps < 10000",
    ),
    (
        "trades",
        BTC,
        "method: clamped_weighted_mean, ",
        "method: vwap, window_s: 30, ",
        (
            "7:6: sources[2].kind: kraken gives this keeper quotes and no trades, which method vwap goes by;"
            " trades come from binance, bitstamp, coinbase, okx"
        ),
    ),
    (
        "trim",
        BTC,
        "method: clamped_weighted_mean, ",
        "method: trimmed_mean, trim: 2, ",
        "9:1: index: BTC-USD: trimmed_mean: trim 2 needs min_sources above 4",
    ),
    (
        "unknown outlier rule",
        BTC,
        "min_quote_groups: 2",
        "min_quote_groups: 2, outliers: exclud",
        "9:77: index.outliers.rule: unknown rule; did you mean exclude?",
    ),
    (
        "unknown outlier option",
        BTC,
        "min_quote_groups: 2",
        "min_quote_groups: 2, outliers: {rule: exclude, return_bsp: 1}",
        "9:103: index.outliers.return_bsp: unknown option of exclude; did you mean return_bps?",
    ),
    (
        "band beside another rule",
        BTC,
        "min_quote_groups: 2",
        "max_deviation_bps: 50, outliers: clamp",
        "9:56: index.max_deviation_bps: is of rule `band`; the rule of this index is clamp",
    ),
    (
        "one source unsaid",
        BTC,
        "min_quote_groups: 2",
        "ladder: okx",
        "9:56: index.ladder: one source alone would make the price: say so with allow_one: true, or write one: withhold",
    ),
    (
        "ladder against the quorum",
        BTC,
        "min_quote_groups: 2",
        "min_quote_groups: 2, ladder: {like: okx, allow_one: true}",
        "9:77: index.ladder: pricing on one source contradicts min_quote_groups or min_operators above 1",
    ),
    (
        "unknown ladder",
        BTC,
        "min_quote_groups: 2",
        "ladder: okex",
        "9:56: index.ladder.like: unknown ladder; did you mean okx?",
    ),
    (
        "upside down",
        BTC,
        "min_quote_groups: 2",
        "ladder: {one: usual, allow_one: true}",
        "9:56: index.ladder: upside down: fewer sources would price where more withhold",
    ),
    (
        "unknown rung",
        BTC,
        "min_quote_groups: 2",
        "ladder: {two: keep}",
        "9:65: index.ladder.two: must be 'withhold', 'usual', 'equal', 'near_last' or 'hold'",
    ),
    (
        "caps by number",
        BTC,
        "method: clamped_weighted_mean, min_sources: 3, ",
        "method: median, min_sources: 3, caps: {venue_bps: 4000}, ",
        "9:41: index.caps: median counts by number, so that there are no weights to cap",
    ),
    (
        "caps too tight",
        BTC,
        "min_quote_groups: 2",
        "caps: {operator_bps: 3000}",
        "9:56: index.caps: operator_bps 3000 leaves no weights to 3",
    ),
    (
        "own venue",
        BTC,
        "market_no: 1",
        "market_no: 1\nown_venue: coinbase",
        "7:6: sources[1].kind: coinbase belongs to own_venue coinbase: an index must not rest on its own exchange",
    ),
    (
        "own venue that is none",
        BTC,
        "market_no: 1",
        "market_no: 1\nown_venue: binanse",
        "4:1: own_venue: unknown venue; did you mean binance?",
    ),
    (
        "currency in small letters",
        BTC,
        "quote: USDT, weight: 3",
        "quote: usdt, weight: 3",
        "5:38: sources[0].quote: write a currency in capitals and digits; did you mean USDT?",
    ),
    (
        "market without a quote",
        BTC,
        "market: BTC-USD",
        "market: btc",
        "1:1: market: write base and quote in capitals with a hyphen between, e.g. BTC-USD; did you mean BTC-USD?",
    ),
    (
        "no symbol",
        BTC,
        "symbol: BTC/USD",
        'symbol: ""',
        "7:20: sources[2].symbol: write the venue's own spelling, 1 to 66 characters without blanks",
    ),
    (
        "own venue in capitals",
        BTC,
        "market_no: 1",
        "market_no: 1\nown_venue: OKX",
        "4:1: own_venue: write a name in small letters and digits, a letter first; did you mean okx?",
    ),
    (
        "currency of a conversion",
        BTC,
        "{USDT: USDT-USD}",
        "{usdt: USDT-USD}",
        "8:15: conversions.usdt: write a currency in capitals and digits; did you mean USDT?",
    ),
    (
        "long word that may be a secret",
        BTC,
        "quote: USDT, weight: 3",
        "quote: aaaaaaaaaaaaaaaaaaaa, weight: 3",
        "5:38: sources[0].quote: write a currency in capitals and digits",
    ),
    (
        "word for an option's number",
        BTC,
        "mark: {method: index}",
        "mark: {method: median3, basis_window_s: abc}",
        "10:25: mark.basis_window_s: write a whole number",
    ),
    (
        "fraction for an option's whole number",
        BTC,
        "mark: {method: index}",
        "mark: {method: median3, max_basis_bps: 1.5}",
        "10:25: mark.max_basis_bps: write a whole number",
    ),
    (
        "interval beyond the heartbeat",
        BTC,
        "min_interval_s: 1}",
        "min_interval_s: 120}",
        "12:47: publish.min_interval_s: must be shorter than heartbeat_s, which is 60",
    ),
    (
        "more currencies than sources confirm",
        BTC,
        "confirm_sources: 3, confirm_quote_groups: 2",
        "confirm_sources: 1, confirm_quote_groups: 2",
        "13:62: guard.confirm_quote_groups: asks for 2 quote currencies at 1 sources (confirm_sources)",
    ),
    (
        "too many endpoints",
        KEEPER,
        'rpc: ["http://127.0.0.1:8545"]',
        'rpc: ["http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545", "http://127.0.0.1:8545"]',
        "1:20: chain.rpc: write at most 16",
    ),
    (
        "short calendar",
        BTC,
        "publish: {dev",
        "session: {calendar: XX}\npublish: {dev",
        "12:11: session.calendar: write at least 3 characters",
    ),
    (
        "sequencer feed",
        KEEPER,
        "chain: {id: 31337",
        "chain: {sequencer_feed: 0x1, id: 31337",
        "1:9: chain.sequencer_feed: write an address: 0x and 40 hexadecimal digits, in quotes",
    ),
    (
        "grace of no sequencer",
        KEEPER,
        "chain: {id: 31337",
        "chain: {sequencer_grace_s: 60, id: 31337",
        "1:9: chain.sequencer_grace_s: of which sequencer? set chain.sequencer_feed",
    ),
    (
        "hold of no rung",
        BTC,
        "min_quote_groups: 2",
        "min_quote_groups: 2, ladder: {hold_max_s: 60}",
        "9:86: index.ladder.hold_max_s: no rung holds the last index",
    ),
    (
        "reach of no rung",
        BTC,
        "min_quote_groups: 2",
        "min_quote_groups: 2, ladder: {two: hold, two_reach_bps: 60}",
        "9:97: index.ladder.two_reach_bps: is of two: near_last",
    ),
    (
        "cross-check of what is not at par",
        BTC,
        "conversions: {USDT: USDT-USD}\nindex: {",
        'conversions: {USDT: {index: USDT-USD, low: "1.02", high: "1.30"}}\nindex: {cross_check: {max_bps: 50}, ',
        "9:9: index.cross_check: USDT is not held at par (1.02…1.3): without conversion the groups cannot be compared",
    ),
    (
        "tick",
        BTC,
        "min_quote_groups: 2",
        'rounding: {mode: truncate, tick: "0"}',
        "9:83: index.rounding.tick: must be greater than 0",
    ),
    (
        "operators",
        BTC,
        "min_quote_groups: 2",
        "min_operators: 4",
        "9:56: index.min_operators: asks for 4 operators of the 3 that the file has",
    ),
    (
        "unknown mark method",
        BTC,
        "mark: {method: index}",
        "mark: {method: median}",
        "10:8: mark.method: unknown method; did you mean median3?",
    ),
    (
        "mark option",
        BTC,
        "mark: {method: index}",
        "mark: {method: median3, basis_windw_s: 30}",
        "10:25: mark.basis_windw_s: unknown option of median3; did you mean basis_window_s?",
    ),
    (
        "heartbeat",
        BTC,
        "heartbeat_s: 60",
        "heartbeat_s: 1",
        "12:46: publish.min_interval_s: must be shorter than heartbeat_s, which is 1",
    ),
    (
        "freshness",
        BTC,
        "method: clamped_weighted_mean",
        "method: clamped_weighted_mean, max_age_s: 20",
        "9:40: index.max_age_s: quotes must grow stale before a report expires: shorter than report.ttl_s, which is 20",
    ),
    (
        "no deployment",
        BTC,
        "deployment: main",
        "deployment: mian",
        "2:1: deployment: unknown deployment; did you mean main?",
    ),
    (
        "index with mark",
        USDT,
        "index:",
        "mark: {method: index}\nindex:",
        "6:1: mark: an index without `deployment` has no such part; name the deployment or remove it",
    ),
    (
        "no threshold",
        BTC,
        "deviation_bps: 10",
        "deviation_bps: 0",
        "12:11: publish.deviation_bps: must be greater than or equal to 1",
    ),
    (
        "index with guard",
        USDT,
        "index:",
        "guard: {max_jump_bps: 100}\nindex:",
        "6:1: guard: an index without `deployment` has no such part; name the deployment or remove it",
    ),
    (
        "index with rules of a chain",
        USDT,
        "index:",
        "assert: {penalty_bps: 40}\nindex:",
        "6:1: assert: an index without `deployment` has no such part; name the deployment or remove it",
    ),
    (
        "pair without two",
        USDT,
        "method: median",
        "method: median, pair_bps: 20",
        "6:25: index.pair_bps: is of allow_two: true",
    ),
    (
        "pair and last without two",
        USDT,
        "method: median",
        "method: median, pair_last_bps: 20",
        "6:25: index.pair_last_bps: is of allow_two: true",
    ),
    (
        "nothing capped",
        BTC,
        "method: clamped_weighted_mean",
        "method: clamped_weighted_mean, caps: {}",
        "9:40: index.caps: of what? set venue_bps, operator_bps or quote_group_bps",
    ),
    (
        "perpetual that stands in for others",
        BTC,
        "mark: {method: index}",
        "mark: {method: hyperliquid, references: [{kind: okx, symbol: BTC-USDT-SWAP, quote: USDT, fallback: true}]}",
        "10:90: mark.references[0].fallback: is of a source of the index",
    ),
    (
        "perpetual with another operator",
        BTC,
        "mark: {method: index}",
        "mark: {method: hyperliquid, references: [{kind: okx, symbol: BTC-USDT-SWAP, quote: USDT, operator: okx}]}",
        "10:90: mark.references[0].operator: is of a source of the index",
    ),
    ("second document", USDT, "index:", "---\nindex:", "6:1: a second YAML document is not allowed"),
]


def _refused(path: Path) -> SettingsRefused:
    with pytest.raises(SettingsRefused) as refused:
        load(path, REGISTRIES, {})
    return refused.value


@pytest.mark.parametrize(("file", "old", "new", "said"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_load__one_mistake__names_place_field_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {KEEPER: GLOBAL, BTC: MARKET, USDT: INDEX}
    assert texts[file].count(old) == 1, "the mistake is made in one place"
    texts[file] = texts[file].replace(old, new)
    written(tmp_path, keeper=texts[KEEPER], BTC=texts[BTC], USDT=texts[USDT])
    assert f"{file}:{said}" in [str(fault) for fault in _refused(Path("keeper.yaml")).faults]


def test_load__mistakes_in_every_file__are_all_reported_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        keeper=GLOBAL.replace("reference", "refrence"),
        BTC=MARKET.replace("kraken", "krakn").replace("min_sources: 3, min", "min_sources: 9, min"),
        USDT=INDEX.replace("median", "mediun"),
    )
    refused = _refused(path)
    assert len(refused.faults) == 4
    assert str(refused).startswith("4 faults in the configuration:\n  ")
    assert [Path(fault.file).name for fault in refused.faults] == [
        "keeper.yaml",
        "BTC-USD.yaml",
        "BTC-USD.yaml",
        "USDT-USD.yaml",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("chain: {id", "chian: {id", "chian: unknown key; did you mean chain?"),
        ("markets: [", "marktes: [", "marktes: unknown key; did you mean markets?"),
        ("chain: {id", "chain: [id", "not YAML"),
    ],
)
def test_load__a_mistake_in_the_global_file__hides_none_of_the_market_files(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    texts = {"keeper": GLOBAL.replace(old, new), "BTC": MARKET.replace("kraken", "krakn"), "USDT": INDEX + "x: 1\n"}
    told = [str(fault) for fault in _refused(written(tmp_path, **texts)).faults]
    for words in (said, "sources[2].kind: unknown venue; did you mean kraken?", "USDT-USD.yaml:7:1: x: unknown key"):
        assert any(words in each for each in told), told


def test_load__a_mistake_in_a_market_file__hides_no_missing_conversion(tmp_path: Path) -> None:
    path = written(tmp_path, BTC=MARKET.replace("kraken", "krakn"))
    (tmp_path / "markets/USDT-USD.yaml").unlink()
    assert [fault.field for fault in _refused(path).faults] == ["sources[2].kind", "conversions.USDT"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("markets/*.yml", "no file matches markets/*.yml"),
        ("market/*.yaml", "no file matches market/*.yaml: there is no directory market"),
        ("markets/BTC.yaml", "no such file: markets/BTC.yaml"),
    ],
)
def test_load__no_market_file__names_pattern_and_cause(tmp_path: Path, pattern: str, said: str) -> None:
    path = written(tmp_path, keeper=GLOBAL.replace("markets/*.yaml", pattern))
    assert [fault.message for fault in _refused(path).faults] == [said]


ONCHAIN = """\
onchain:
  BTC-USD: {kind: chainlink, address: "0x4444444444444444444444444444444444444444", heartbeat_s: 3600}
  BTC: {kind: pyth, address: "0x5555555555555555555555555555555555555555", feed: "0xe62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"}
  WBTC: {kind: uniswap_v3, address: "0x6666666666666666666666666666666666666666", base: "0x7777777777777777777777777777777777777777", min_liquidity: 1000000}
"""
REFERENCE = "method: clamped_weighted_mean, reference: {kind: ecb, symbol: EUR/USD}"
CONTRACTS = """\
  - {kind: chainlink, symbol: BTC-USD, max_age_s: 3660}
  - {kind: pyth, symbol: BTC, max_age_s: 60}
  - {kind: uniswap_v3, symbol: WBTC, quote: USDT}
conversions:"""
OPEN = "publish: {deviation_bps: 10"
HOURS = "session: {calendar: XNYS, opening_sources: 3}\npublish: {deviation_bps: 10"

CHOICES: list[tuple[str, str, str, str, str]] = [
    (
        "kind of contract",
        KEEPER,
        "kind: chainlink",
        "kind: chainlnk",
        "2:13: onchain.BTC-USD.kind: unknown kind; did you mean chainlink?",
    ),
    (
        "option of a contract",
        KEEPER,
        "heartbeat_s",
        "heart_s",
        "2:85: onchain.BTC-USD.heart_s: unknown option of chainlink; did you mean heartbeat_s?",
    ),
    (
        "short window",
        KEEPER,
        "min_liquidity: 1000000",
        "min_liquidity: 1, window_s: 300",
        "4:3: onchain.WBTC: window_s must lie in 600…604800: a short mean is cheap to move",
    ),
    (
        "feed that is none",
        KEEPER,
        "0xe62df6c8",
        "0xe6",
        "3:3: onchain.BTC: feed is 0x and 64 hexadecimal digits, in quotes",
    ),
    (
        "mistyped address",
        KEEPER,
        "0x7777777777777777777777777777777777777777",
        "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756cc2",
        "4:3: onchain.WBTC: base: 0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756cc2 has a wrong EIP-55 checksum: a digit is mistyped",
    ),
    (
        "contract that is not there",
        BTC,
        "symbol: WBTC",
        "symbol: WBTD",
        "10:24: sources[5].symbol: not under `onchain` in keeper.yaml; did you mean WBTC?",
    ),
    (
        "another kind",
        BTC,
        "kind: pyth, symbol: BTC",
        "kind: pyth, symbol: WBTC",
        "9:6: sources[4].kind: WBTC is of kind uniswap_v3 in keeper.yaml",
    ),
    (
        "younger than its heartbeat",
        BTC,
        "max_age_s: 3660",
        "max_age_s: 3600",
        "8:40: sources[3].max_age_s: BTC-USD may properly be 3660 s old: allow this source at least that",
    ),
    (
        "reference",
        BTC,
        "kind: ecb, symbol: EUR/USD}",
        "kind: ecv, symbol: EUR/USD}",
        "12:52: index.reference.kind: unknown kind; did you mean ecb?",
    ),
    (
        "pair of a reference",
        BTC,
        "kind: ecb, symbol: EUR/USD}",
        "kind: ecb, symbol: EURUSD}",
        "12:63: index.reference.symbol: 'EURUSD' is not a pair of currencies like EUR/USD",
    ),
    (
        "pair of a last resort",
        BTC,
        "kind: uniswap_v3, symbol: WBTC, quote: USDT",
        "kind: ecb, symbol: eur/usd, max_age_s: 468000, fallback: true",
        "10:17: sources[5].symbol: 'eur/usd' is not a pair of currencies like EUR/USD",
    ),
    (
        "fix among prices of now",
        BTC,
        "kind: uniswap_v3, symbol: WBTC, quote: USDT",
        "kind: ecb, symbol: EUR/USD, max_age_s: 468000",
        "10:5: sources[5]: ecb fixes once a day: let it vote with fallback: true, or hold the index against it with index.reference",
    ),
    (
        "calendar",
        BTC,
        "calendar: XNYS",
        "calendar: XNY",
        "15:11: session.calendar: no calendar 'XNY'; there are ENERGY, FX, METALS, XETR, XHKG, XKRX, XLON, XNYS, XTKS, or write a schedule",
    ),
    (
        "schedule",
        BTC,
        "calendar: XNYS",
        'calendar: "America/New_York;0930-1600,O,O,O,O,C"',
        "15:11: session.calendar: a schedule names seven days from Monday on, this one 6",
    ),
    (
        "one day twice",
        BTC,
        "calendar: XNYS",
        'calendar: "America/New_York;O,O,O,O,O,C,C;0704/C,20261127/C,0704/0930-1300"',
        "15:11: session.calendar: exception '0704/0930-1300': that day stands there twice",
    ),
    (
        "own book without one",
        BTC,
        "XNYS,",
        "XNYS, off_hours: own_book,",
        "15:27: session.off_hours: own_book needs `book`",
    ),
    (
        "drift of nothing",
        BTC,
        "XNYS,",
        "XNYS, drift_band_bps: 100,",
        "15:27: session.drift_band_bps: is of off_hours: own_book",
    ),
    (
        "sources of the opening",
        BTC,
        "opening_sources: 3",
        "opening_sources: 9",
        "15:27: session.opening_sources: asks for 9 sources of the 6",
    ),
]


def _with_choices() -> dict[str, str]:
    market = MARKET.replace("conversions:", CONTRACTS).replace(OPEN, HOURS)
    market = market.replace("method: clamped_weighted_mean", REFERENCE)
    return {KEEPER: ONCHAIN + GLOBAL, BTC: market, USDT: INDEX}


def test_load__contracts_and_sessions__are_accepted_as_they_stand(tmp_path: Path) -> None:
    texts = _with_choices()
    settings = load(written(tmp_path, keeper=texts[KEEPER], BTC=texts[BTC]), REGISTRIES, {})
    assert set(settings.onchain) == {"BTC-USD", "BTC", "WBTC"}


@pytest.mark.parametrize(("file", "old", "new", "said"), [row[1:] for row in CHOICES], ids=[row[0] for row in CHOICES])
def test_load__one_mistake_about_contracts_or_sessions__names_place_field_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    texts = _with_choices()
    assert texts[file].count(old) == 1, "the mistake is made in one place"
    texts[file] = texts[file].replace(old, new)
    written(tmp_path, keeper=texts[KEEPER], BTC=texts[BTC], USDT=texts[USDT])
    assert f"{file}:{said}" in [str(fault) for fault in _refused(Path("keeper.yaml")).faults]


@pytest.mark.parametrize("index", ["USDT-USDC", "USDT-USDX.SPOT"])
def test_load__conversion_to_another_currency__is_refused_however_alike_its_name_is(tmp_path: Path, index: str) -> None:
    keeper = written(tmp_path, BTC=MARKET.replace("{USDT: USDT-USD}", f"{{USDT: {index}}}"))
    quote = index.partition("-")[2].partition(".")[0]
    other = INDEX.replace("market: USDT-USD", f"market: {index}").replace("}\n", f", quote: {quote}}}\n", 3)
    (tmp_path / "markets" / "other.yaml").write_text(other)
    with pytest.raises(SettingsRefused) as refused:
        load(keeper, REGISTRIES, {})
    said = f"conversions.USDT: {index} does not convert USDT to USD"
    assert str(refused.value).splitlines()[1].endswith(f"markets/BTC-USD.yaml:8:15: {said}")


def test_load__index_of_two_sources__needs_no_guard_that_it_has_not(tmp_path: Path) -> None:
    two = "".join(line for line in INDEX.splitlines(keepends=True) if "bitstamp" not in line)
    two = two.replace("median", "median, min_sources: 2, allow_two: true")
    assert len(load(written(tmp_path, USDT=two), REGISTRIES, {}).market("USDT-USD").sources) == 2


def test_load__conversion_by_one_of_two_indices_of_a_pair__is_accepted(tmp_path: Path) -> None:
    keeper = written(tmp_path, BTC=MARKET.replace("{USDT: USDT-USD}", "{USDT: USDT-USD.SPOT}"))
    other = INDEX.replace("market: USDT-USD", "market: USDT-USD.SPOT")
    (tmp_path / "markets" / "other.yaml").write_text(other)
    assert load(keeper, REGISTRIES, {}).market("BTC-USD").conversions["USDT"].index == "USDT-USD.SPOT"


def test_load__conversions_in_a_circle__are_refused_with_the_way(tmp_path: Path) -> None:
    circle = INDEX.replace("kind: kraken, symbol: USDT/USD", "kind: kraken, symbol: USDT/BTC, quote: BTC")
    path = written(
        tmp_path,
        USDT=circle.replace("index:", "conversions: {BTC: BTC-USD}\nindex:"),
    )
    assert any(
        "conversions run in a circle: BTC-USD → USDT-USD → BTC-USD" in str(fault) for fault in _refused(path).faults
    )


def test_load__a_secret_in_the_wrong_place__is_never_repeated(tmp_path: Path) -> None:
    """Whatever an operator pastes where, the message shows keys and choices, not what he wrote."""
    canary = "s3cr3t-canary"
    for old in ("31337", '"http://127.0.0.1:8545"', "protocol: reference", "kind: key_file, file: sender.key"):
        refused = _refused(written(tmp_path, keeper=GLOBAL.replace(old, canary)))
        assert canary not in f"{refused} {refused!r}", old


@pytest.mark.parametrize(
    "text",
    ["[" * 5_000, "{a: " * 5_000, "a: &a [1]\nb: [*a, *a]\n", "- " * 5_000, "\x00", "\ufffe", "%YAML 1.1\n---\na: 1\n"],
)
def test_load__a_hostile_text__is_refused_with_a_line(tmp_path: Path, text: str) -> None:
    assert _refused(written(tmp_path, keeper=text)).faults


def test_load__a_huge_file__is_refused_unread(tmp_path: Path) -> None:
    assert "larger than 256 KiB" in str(_refused(written(tmp_path, keeper="a: " + "x" * 300_000)))


@pytest.mark.parametrize("name", ["keeper.yaml", "markets/BTC-USD.yaml"])
def test_load__a_file_larger_than_memory__is_read_to_the_limit_alone(tmp_path: Path, name: str) -> None:
    path = written(tmp_path)
    os.truncate(tmp_path / name, 2**33)
    tracemalloc.start()
    try:
        assert "larger than 256 KiB" in str(_refused(path))
        assert admin_sockets(path, {})
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_load__bytes_that_are_no_text__are_refused_with_a_line(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(GLOBAL.encode() + b"\xff\xfe")
    assert f"{path}:8:1: not UTF-8 text" in str(_refused(path))


def test_load__no_file__says_so(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory" in str(_refused(tmp_path / "keeper.yaml"))


@pytest.mark.parametrize("admin", ["admin:", "admin: []", "admin: {socket: }"])
def test_sockets__of_a_file_whose_admin_is_wrong__are_looked_for_in_its_state_directory(
    tmp_path: Path, admin: str
) -> None:
    """The keeper that runs has read the file before that; a halt must reach it."""
    (tmp_path / "keeper.yaml").write_text(f"state_dir: /srv/keeper\n{admin}\n")
    assert admin_sockets(tmp_path / "keeper.yaml", {})[0] == Path("/srv/keeper/keeper.sock")
