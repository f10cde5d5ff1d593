"""What nodes say about a transaction they do not take, word for word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.domain.txerrors import SendAnswer, classify, is_taken

A = SendAnswer
SAYINGS = {
    # go-ethereum, op-geth, Erigon
    "already known": A.ALREADY_KNOWN,
    "known transaction: 0xabc": A.ALREADY_KNOWN,
    "nonce too low: next nonce 5, tx nonce 4": A.NONCE_TOO_LOW,
    "nonce too high": A.NONCE_GAP,
    "gapped-nonce tx from delegated accounts": A.NONCE_GAP,
    "replacement transaction underpriced": A.REPLACEMENT_UNDERPRICED,
    "transaction underpriced": A.UNDERPRICED,
    "transaction underpriced: gas tip cap 1, minimum needed 1000000": A.UNDERPRICED,
    "max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1, baseFee: 7": A.UNDERPRICED,
    "fee cap less than block base fee": A.UNDERPRICED,
    "max priority fee per gas higher than max fee per gas": A.TIP_ABOVE_CAP,
    "insufficient funds for gas * price + value: balance 0, tx cost 1": A.INSUFFICIENT_FUNDS,
    "insufficient funds for transfer": A.INSUFFICIENT_FUNDS,
    "address already reserved": A.ALREADY_RESERVED,
    "authority already reserved": A.ALREADY_RESERVED,
    "txpool is full": A.POOL_FULL,
    "account limit exceeded: pooled 64 txs": A.POOL_FULL,
    "tx fee (1.50 ether) exceeds the configured cap (1.00 ether)": A.NODE_FEE_CAP,
    "exceeds block gas limit": A.FATAL,
    "invalid sender": A.FATAL,
    "negative value": A.FATAL,
    "oversized data: transaction size 200000, limit 131072": A.FATAL,
    "gas uint64 overflow": A.FATAL,
    "intrinsic gas too low: gas 21000, minimum needed 53000": A.FATAL,
    "transaction gas price below minimum: gas tip cap 1, minimum needed 1000000": A.UNDERPRICED,
    "future transaction tries to replace pending": A.POOL_FULL,
    "in-flight transaction limit reached for delegated accounts": A.POOL_FULL,
    "only replay-protected (EIP-155) transactions allowed over RPC": A.FATAL,
    "nonce has max value: address 0x1, nonce: 18446744073709551615": A.FATAL,
    "typed transaction too short": A.FATAL,
    "max fee per gas higher than 2^256-1": A.FATAL,
    # anvil
    "transaction already imported": A.ALREADY_KNOWN,
    "nonce too low": A.NONCE_TOO_LOW,
    "max fee per gas less than block base fee": A.UNDERPRICED,
    "Insufficient funds for gas * price + value": A.INSUFFICIENT_FUNDS,
    "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit": A.FATAL,
    "Failed to decode transaction": A.FATAL,
    # Nethermind
    "AlreadyKnown": A.ALREADY_KNOWN,
    "OwnNonceAlreadyUsed": A.ALREADY_KNOWN,
    "OldNonce, Current nonce: 3, nonce of rejected tx: 2": A.NONCE_TOO_LOW,
    "NonceGap, Future nonce. Expected nonce: 3": A.NONCE_GAP,
    "FeeTooLowToCompete": A.REPLACEMENT_UNDERPRICED,
    "FeeTooLow, EffectivePriorityFeePerGas too low": A.UNDERPRICED,
    "InsufficientFunds, Account balance: 0, cumulative cost: 1": A.INSUFFICIENT_FUNDS,
    # Besu
    "Known transaction": A.ALREADY_KNOWN,
    "Nonce too low": A.NONCE_TOO_LOW,
    "Replacement transaction underpriced": A.REPLACEMENT_UNDERPRICED,
    "Gas price below configured minimum gas price": A.UNDERPRICED,
    "Upfront cost exceeds account balance": A.INSUFFICIENT_FUNDS,
    # Arbitrum
    "queue full": A.POOL_FULL,
    "sequencer pending tx pool full, please try again": A.POOL_FULL,
    # nobody we know
    "internal error": A.UNKNOWN,
    "": A.UNKNOWN,
}


@pytest.mark.parametrize(("words", "answer"), SAYINGS.items())
def test_classify__what_clients_say(words: str, answer: SendAnswer) -> None:
    assert classify(words) is answer
    assert classify(f"node eth_sendRawTransaction: {words.upper()}") is answer


@given(st.text())
def test_classify__any_words__have_a_class(words: str) -> None:
    assert classify(words) in SendAnswer


def test_taken__only_what_the_node_has() -> None:
    assert {answer for answer in SendAnswer if is_taken(answer)} == {A.ACCEPTED, A.ALREADY_KNOWN}
