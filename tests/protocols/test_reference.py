"""The reference protocol's adapter on bytes made by eth_abi, and against what the compiler gave."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import eth_abi
import pytest
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

import keeper.devnet
from keeper.adapters.encoding.addresses import checksum
from keeper.adapters.encoding.contract import canonical, compile_contract
from keeper.adapters.protocols import PROTOCOLS
from keeper.adapters.protocols.contracts import load_abi
from keeper.adapters.protocols.reference import ReferencePerp
from keeper.adapters.protocols.reference_events import _plan
from keeper.domain import events
from keeper.domain.chain import Log
from keeper.domain.ids import Address, DeploymentId, Hash, MarketId
from keeper.domain.report import MarketPrice, PriceReport, Signature, SignedReport
from keeper.errors import AbiMismatch, ConfigError
from keeper.ports.protocol import LiquidationRequest, PerpProtocol
from tests.protocols.strategies import addresses, uints, values

_ORACLE, _EXCHANGE, _LENS = (Address("0x" + digit * 40) for digit in "abc")
_PERP = ReferencePerp(_ORACLE, _EXCHANGE, _LENS, chain_id=31337)
_ACCOUNT, _OTHER = Address("0x" + "1" * 40), Address("0x" + "2" * 40)
_NAMES = ("PriceOracle", "PerpExchange", "PerpLens")


def _entries(kind: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, entry) for name in _NAMES for entry in load_abi(name) if entry["type"] == kind]


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(canonical(part) for part in entry['inputs'])})"


def _log(contract: str, topics: list[str], data: bytes) -> Log:
    emitter = {"PriceOracle": _ORACLE, "PerpExchange": _EXCHANGE}[contract]
    return Log(emitter, tuple(Hash(one) for one in topics), data, 7, Hash("0x" + "b" * 64), Hash("0x" + "d" * 64), 3)


def _encoded_log(contract: str, entry: dict[str, Any], given_values: tuple[Any, ...]) -> Log:
    """As the EVM writes it, by eth_abi."""
    pairs = list(zip(entry["inputs"], given_values, strict=True))
    topics = ["0x" + keccak(text=_signature(entry)).hex()]
    topics += ["0x" + eth_abi.encode([canonical(part)], [value]).hex() for part, value in pairs if part["indexed"]]
    rest = [(canonical(part), value) for part, value in pairs if not part["indexed"]]
    return _log(contract, topics, eth_abi.encode([kind for kind, _ in rest], [value for _, value in rest]))


def _zero(part: dict[str, Any]) -> Any:
    if part["type"] == "tuple":
        return tuple(_zero(inner) for inner in part["components"])
    if part["type"].endswith("[]"):
        return ()
    return {"address": "0x" + "0" * 40, "bytes32": bytes(32), "bool": False}.get(part["type"], 0)


@pytest.mark.parametrize("name", _NAMES)
def test_abi__beside_the_adapter__is_what_the_compiler_gave(name: str) -> None:
    """Two copies, because the keeper must not depend on its test chain."""
    artifact = Path(keeper.devnet.__file__).parent / "artifacts" / f"{name}.json"
    committed = json.loads(artifact.read_text(encoding="utf-8"))["abi"]
    assert load_abi(name) == committed, f"copy `abi` of {artifact.name} to keeper/adapters/protocols/abi/{name}.json"


def test_selectors_and_topics__are_those_of_eth_utils() -> None:
    for name in _NAMES:
        abi = load_abi(name)
        plan = compile_contract(abi)
        for entry in abi:
            if entry["type"] == "function":
                assert plan.functions[entry["name"]].selector == keccak(text=_signature(entry))[:4]
            elif entry["type"] == "event":
                assert plan.events[entry["name"]].topic0 == "0x" + keccak(text=_signature(entry)).hex()
            elif entry["type"] == "error":
                assert plan.errors[keccak(text=_signature(entry))[:4]].name == entry["name"]


_NOUN_FIELDS = {
    "marketId": "market_no",
    "roundId": "round_id",
    "observedAt": "observed_at_s",
    "epoch": "signer_epoch",
    "signerBitmap": "signer_bitmap",
    "boundary": "boundary_s",
    "covered": "covered_s",
    "cum": "cum_e36",
    "cumEntry": "cum_entry_e36",
    "snapS": "snap_acc",
    "snapV": "snap_covered",
}


def _noun_field(event: str, name: str, noun: type[Any]) -> str | None:
    """By the vocabulary above, or the same name with its unit."""
    if (event, name) == ("PriceUpdated", "covered"):
        return "covered"
    found = [
        one.name for one in fields(noun) if one.name in (name, _NOUN_FIELDS.get(name), f"{name}_e18", f"{name}_units")
    ]
    return found[0] if found else None


@pytest.mark.parametrize(
    ("contract", "entry"), _entries("event"), ids=lambda case: case["name"] if isinstance(case, dict) else case
)
def test_decode_log__every_event_with_any_values__gives_its_noun(contract: str, entry: dict[str, Any]) -> None:
    cases = st.tuples(*[values(part) for part in entry["inputs"]])

    @given(cases)
    @settings(max_examples=20, deadline=None)
    def check(given_values: tuple[Any, ...]) -> None:
        decoded = _PERP.decode_log(_encoded_log(contract, entry, given_values))
        if entry["name"] in ("FundingResidue", "FeesCollected"):
            assert decoded == ()
            return
        (event,) = decoded
        assert event.ref == events.LogRef(7, "0x" + "b" * 64, 3, "0x" + "d" * 64)
        noun = getattr(events, entry["name"], None)
        if noun is None:
            assert event == events.RulesChanged(event.ref, entry["name"])
            return
        assert type(event) is noun
        given_by_name = {part["name"]: value for part, value in zip(entry["inputs"], given_values, strict=True)}
        shown = {_noun_field(entry["name"], name, noun): value for name, value in given_by_name.items()}
        for one in fields(noun):
            assert one.name == "ref" or getattr(event, one.name) == shown[one.name], one.name

    check()


@pytest.mark.parametrize(
    ("contract", "entry"), _entries("event"), ids=lambda case: case["name"] if isinstance(case, dict) else case
)
def test_decode_log__malformed__is_a_mismatch(contract: str, entry: dict[str, Any]) -> None:
    given_values = tuple(_zero(part) for part in entry["inputs"])
    log = _encoded_log(contract, entry, given_values)
    high = "0x" + "f" * 64
    wrong = [(log.topics[:-1], log.data)] if len(log.topics) > 1 else []
    wrong += [((*log.topics, Hash(high)), log.data), (log.topics, log.data + bytes(32)), (log.topics, log.data[:-1])]
    if len(log.topics) > 1:
        wrong += [((*log.topics[:-1], Hash(text)), log.data) for text in (high, "0x12", "0xzz")]
    for topics, data in wrong:
        with pytest.raises(AbiMismatch):
            _PERP.decode_log(_log(contract, list(topics), data))


def test_decode_log__foreign_or_unknown__is_nothing() -> None:
    (_, entry), *_ = [case for case in _entries("event") if case[1]["name"] == "MarginChanged"]
    log = _encoded_log("PerpExchange", entry, (_ACCOUNT, 1, 5, 5))
    assert len(_PERP.decode_log(log)) == 1
    elsewhere = Log(_LENS, log.topics, log.data, 7, log.block_hash, log.tx_hash, 3)
    from_oracle = Log(_ORACLE, log.topics, log.data, 7, log.block_hash, log.tx_hash, 3)
    unknown = _log("PerpExchange", ["0x" + "7" * 64], b"")
    assert [_PERP.decode_log(one) for one in (elsewhere, from_oracle, unknown, _log("PerpExchange", [], b""))] == [
        ()
    ] * 4


def test_log_filter__names_both_contracts_and_every_event() -> None:
    where = _PERP.log_filter()
    assert where.addresses == (_ORACLE, _EXCHANGE)
    assert set(where.topics0) == {"0x" + keccak(text=_signature(entry)).hex() for _, entry in _entries("event")}


def test_plan__an_event_that_lacks_a_field_or_is_new__is_a_mismatch_at_the_start() -> None:
    abi = load_abi("PerpExchange")
    (margin,) = [entry for entry in abi if entry.get("name") == "MarginChanged"]
    cut = {**margin, "inputs": [part for part in margin["inputs"] if part["name"] != "delta"]}
    with pytest.raises(AbiMismatch, match="MarginChanged has no delta"):
        _plan(compile_contract([cut]).events["MarginChanged"])
    with pytest.raises(AbiMismatch, match="nothing is known about the event Novelty"):
        _plan(compile_contract([{**margin, "name": "Novelty"}]).events["Novelty"])


_REPORT = PriceReport(
    DeploymentId("devnet"),
    1_700_000_000_123,
    1_700_000_000,
    1_700_000_060,
    1,
    b"\1" * 32,
    (MarketPrice(MarketId("BTC-USD"), 1, 64_000 * 10**18, 64_010 * 10**18, 0),),
)


def _calldata(name: str, *arguments: Any) -> bytes:
    (entry,) = [one for _, one in _entries("function") if one["name"] == name]
    return keccak(text=_signature(entry))[:4] + eth_abi.encode([canonical(part) for part in entry["inputs"]], arguments)


def _topic(name: str) -> str:
    (entry,) = [one for _, one in _entries("event") if one["name"] == name]
    return "0x" + keccak(text=_signature(entry)).hex()


@given(st.lists(uints(32), min_size=1, max_size=32))
@settings(max_examples=30)
def test_settle_funding__one_reverts_by_name_and_many_skip(market_nos: list[int]) -> None:
    call, proofs = _PERP.settle_funding(market_nos)
    one = len(market_nos) == 1
    expected = _calldata("settleFunding", market_nos[0]) if one else _calldata("settleFundingMany", market_nos)
    assert (call.to, call.data, call.value_wei) == (_EXCHANGE, expected, 0)
    assert [(p.address, p.topic0, p.topic1) for p in proofs] == [
        (_EXCHANGE, _topic("FundingSettled"), f"0x{no:064x}") for no in market_nos
    ]


@given(st.lists(st.builds(LiquidationRequest, addresses, uints(32), uints(128)), min_size=1, max_size=32))
@settings(max_examples=30)
def test_liquidate__one_reverts_by_name_and_many_skip(requests: list[LiquidationRequest]) -> None:
    call, proofs = _PERP.liquidate(requests)
    wanted = [(one.account, one.market_no, one.max_size_e18) for one in requests]
    expected = _calldata("liquidate", *wanted[0]) if len(wanted) == 1 else _calldata("liquidateBatch", wanted)
    assert (call.to, call.data, call.value_wei) == (_EXCHANGE, expected, 0)
    assert {(p.topic0, p.topic1) for p in proofs} == {
        (_topic("Liquidated"), "0x" + one.account[2:].rjust(64, "0")) for one in requests
    }


def test_deleverage_and_publish__carry_their_proof() -> None:
    call, (proof,) = _PERP.deleverage(_ACCOUNT, _OTHER, 2, 10**18)
    assert call.data == _calldata("deleverage", _ACCOUNT, _OTHER, 2, 10**18)
    assert (proof.address, proof.topic0, proof.topic1) == (_EXCHANGE, _topic("Deleveraged"), "0x" + "0" * 24 + "1" * 40)
    signed = SignedReport(_REPORT, (Signature(_ACCOUNT, b"\2" * 32, b"\3" * 32),))
    call, (proof,) = _PERP.publish(signed)
    batch = (1_700_000_000_123, 1_700_000_000, 1_700_000_060, 1, b"\1" * 32, [(1, 64_000 * 10**18, 64_010 * 10**18, 0)])
    assert (call.to, call.data) == (_ORACLE, _calldata("pushPrices", batch, [(b"\2" * 32, b"\3" * 32)]))
    assert (proof.address, proof.topic0, proof.topic1) == (
        _ORACLE,
        _topic("BatchPushed"),
        f"0x{1_700_000_000_123:064x}",
    )


def test_acts__too_many_or_none__are_refused_before_the_chain_does() -> None:
    many = SignedReport(PriceReport(DeploymentId("d"), 1, 0, 1, 1, bytes(32), _REPORT.prices * 33), ())
    request = LiquidationRequest(_ACCOUNT, 1, 1)
    for act in (
        lambda: _PERP.settle_funding([]),
        lambda: _PERP.settle_funding([1] * 33),
        lambda: _PERP.liquidate([]),
        lambda: _PERP.liquidate([request] * 33),
        lambda: _PERP.publish(many),
    ):
        with pytest.raises(ValueError, match="takes 1 to 32"):
            act()


def test_permitted__is_exactly_what_the_acts_call() -> None:
    request = LiquidationRequest(_ACCOUNT, 1, 1)
    calls = [
        _PERP.publish(SignedReport(_REPORT, ()))[0],
        _PERP.settle_funding([1])[0],
        _PERP.settle_funding([1, 2])[0],
        _PERP.liquidate([request])[0],
        _PERP.liquidate([request, request])[0],
        _PERP.deleverage(_ACCOUNT, _OTHER, 1, 1)[0],
    ]
    assert _PERP.permitted() == {(31337, call.to, call.data[:4]) for call in calls}


_BENIGN = {
    "CounterpartyUnhealthy",
    "FundNotEmpty",
    "FundShort",
    "FundingNotDue",
    "InvalidSize",
    "NoPosition",
    "NotBankrupt",
    "NotLiquidatable",
}


@pytest.mark.parametrize(
    ("contract", "entry"), _entries("error"), ids=lambda case: case["name"] if isinstance(case, dict) else case
)
def test_explain_revert__every_custom_error__is_named_with_its_arguments(contract: str, entry: dict[str, Any]) -> None:
    zero = {"address": _ACCOUNT, "bytes": b"\4\7"}
    arguments = [zero.get(part["type"], 42) for part in entry["inputs"]]
    data = keccak(text=_signature(entry))[:4] + eth_abi.encode([canonical(part) for part in entry["inputs"]], arguments)
    revert = _PERP.explain_revert(data)
    assert revert.name == entry["name"], contract
    assert revert.benign == (entry["name"] in _BENIGN)
    if "bytes" not in [part["type"] for part in entry["inputs"]]:
        assert revert.detail == ", ".join(f"{part['name']}=42" for part in entry["inputs"])


@pytest.mark.parametrize(
    ("signature", "reasons", "detail", "benign"),
    [
        ("NothingAccepted(bytes)", b"\4\4", "old round, old round", True),
        ("NothingAccepted(bytes)", b"\4\5", "old round, deviation", False),
        ("NothingAccepted(bytes)", b"\3", "frozen", False),
        ("NothingAccepted(bytes)", b"", "", False),
        ("NothingLiquidated(bytes)", b"\4\2", "healthy, no position", True),
        ("NothingLiquidated(bytes)", b"\4\6", "healthy, fund short", True),
        ("NothingLiquidated(bytes)", b"\x63", "reason 99", False),
    ],
)
def test_explain_revert__a_batch__is_benign_only_if_every_reason_is_a_lost_race(
    signature: str, reasons: bytes, detail: str, benign: bool
) -> None:
    revert = _PERP.explain_revert(keccak(text=signature)[:4] + eth_abi.encode(["bytes"], [reasons]))
    assert (revert.name, revert.detail, revert.benign) == (signature.removesuffix("(bytes)"), detail, benign)


def test_explain_revert__what_the_compiler_emits__is_explained() -> None:
    error = _PERP.explain_revert(bytes.fromhex("08c379a0") + eth_abi.encode(["string"], ["no luck"]))
    assert (error.name, error.detail) == ("Error", "reason=no luck")
    panic = _PERP.explain_revert(bytes.fromhex("4e487b71") + eth_abi.encode(["uint256"], [0x11]))
    assert (panic.name, panic.detail) == ("Panic", "arithmetic overflow")
    other = _PERP.explain_revert(bytes.fromhex("4e487b71") + eth_abi.encode(["uint256"], [0x99]))
    assert other.detail == "code 0x99"


@given(
    st.one_of(
        st.binary(max_size=100),
        st.binary(max_size=90).map(lambda tail: keccak(text="NothingAccepted(bytes)")[:4] + tail),
    )
)
def test_explain_revert__any_bytes__never_raises_and_never_passes_as_benign(data: bytes) -> None:
    assert not _PERP.explain_revert(data).benign


def test_address__with_a_wrong_checksum_or_twice__is_a_configuration_error() -> None:
    good = checksum(Address("0x" + "5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"))
    made: PerpProtocol = PROTOCOLS["reference"](Address(good), _EXCHANGE, _LENS, 1)
    assert made.oracle == good.lower()
    wrong = good.replace("5a", "5A")
    for oracle, lens, chain_id, problem in (
        (wrong, _LENS, 1, "oracle: .*EIP-55"),
        ("0x12", _LENS, 1, "oracle: .*20-byte"),
        (_EXCHANGE, _LENS, 1, "three contracts"),
        (good, _LENS, 0, "chain_id"),
    ):
        with pytest.raises(ConfigError, match=problem):
            ReferencePerp(Address(oracle), _EXCHANGE, lens, chain_id)


def test_answers__that_are_missing_or_empty__are_a_mismatch() -> None:
    query = _PERP.accounts([_ACCOUNT])
    for answers in ([], [b""], [bytes(31)], [b"", b""]):
        with pytest.raises(AbiMismatch):
            query.decode(answers)
    assert _PERP.accounts([]).decode([]) == ()
    assert [len(_PERP.accounts([_ACCOUNT] * n).calls) for n in (1, 100, 101, 201)] == [1, 1, 2, 3]
