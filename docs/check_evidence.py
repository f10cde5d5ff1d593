"""Checks what `keeper explain TX --json` printed, without the keeper: leaves, root, entries, signatures.

    keeper explain 0x… --json > price.json && python docs/check_evidence.py price.json

Needs eth-abi, eth-account and eth-utils. Compare the printed signers with the oracle's, and the calldata with a block explorer.
"""

import json
import sys
from pathlib import Path

from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

BATCH = "(uint64,uint40,uint40,uint32,bytes32,(uint32,uint96,uint96,int64)[])"
HEAD = ("uint64 roundId", "uint40 observedAt", "uint40 validUntil", "uint32 signerEpoch", "bytes32 evidence")
PRICE = ("uint32 marketId", "uint96 index", "uint96 mark", "int64 premium")
DOMAIN = ("string name", "string version", "uint256 chainId", "address verifyingContract")

proof = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["proof"]
batch, signatures = decode((BATCH, "(bytes32,bytes32)[]"), bytes.fromhex(proof["calldata"][10:]))
row = sorted(keccak(record.encode()) for record in proof["records"])
while len(row) > 1:
    pairs = [keccak(min(a, b) + max(a, b)) for a, b in zip(row[::2], row[1::2], strict=False)]
    row = pairs + ([row[-1]] if len(row) % 2 else [])
told = [json.loads(record)["entry"] for record in proof["records"]]
recorded = sorted(tuple(int(entry[name]) for name in ("no", "index", "mark", "premium")) for entry in told)


def typed(fields):
    return [dict(zip(("type", "name"), field.split(), strict=True)) for field in fields]


types = {
    "EIP712Domain": typed(DOMAIN),
    "MarketPrice": typed(PRICE),
    "PriceBatch": typed((*HEAD, "MarketPrice[] prices")),
}
message = dict(zip([field.split()[1] for field in HEAD], batch[:5], strict=True))
message["prices"] = [dict(zip([field.split()[1] for field in PRICE], price, strict=True)) for price in batch[5]]
domain = dict(
    zip(
        [field.split()[1] for field in DOMAIN],
        ("PerpPriceOracle", "1", proof["chain_id"], proof["oracle"]),
        strict=True,
    )
)
signed = encode_typed_data(
    full_message={"types": types, "primaryType": "PriceBatch", "domain": domain, "message": message}
)
for r, vs in signatures:
    packed = int.from_bytes(vs, "big")
    vrs = (27 + (packed >> 255), int.from_bytes(r, "big"), packed & (1 << 255) - 1)
    print("signed by", Account.recover_message(signed, vrs=vrs))
faults = [] if row[0] == batch[4] else ["the records do not give the root that was signed"]
faults += [] if recorded == sorted(batch[5]) else ["records and batch state different prices"]
sys.exit("; ".join(faults) or print(f"round {batch[0]}: {len(recorded)} prices as recorded"))
