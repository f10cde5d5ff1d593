"""Accounts whose private keys are printed in the manuals of development nodes: whoever reads them can use them.

Sources, each at m/44'/60'/0'/0/i: anvil and hardhat, "test test … junk", i = 0…19 (https://getfoundry.sh/anvil/reference,
https://hardhat.org/hardhat-network/docs/reference) · ganache --deterministic, "myth like bonus …", i = 0…9 · truffle
develop, "candy maple cake …", i = 0…9.
"""

from __future__ import annotations

from keeper.domain.ids import Address
from keeper.errors import KeyPermissionError

DEVELOPMENT_CHAINS = frozenset({31337, 1337})
_ANVIL = (
    "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    "70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    "90f79bf6eb2c4f870365e785982e1f101e93b906",
    "15d34aaf54267db7d7c367839aaf71a00a2c6a65",
    "9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
    "976ea74026e726554db657fa54763abd0c3a0aa9",
    "14dc79964da2c08b23698b3d3cc7ca32193d9955",
    "23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f",
    "a0ee7a142d267c1f36714e4a8f75612f20a79720",
    "bcd4042de499d14e55001ccbb24a551f3b954096",
    "71be63f3384f5fb98995898a86b02fb2426c5788",
    "fabb0ac9d68b0b445fb7357272ff202c5651694a",
    "1cbd3b2770909d4e10f157cabc84c7264073c9ec",
    "df3e18d64bc6a983f673ab319ccae4f1a57c7097",
    "cd3b766ccdd6ae721141f452c550ca635964ce71",
    "2546bcd3c84621e976d8185a91a922ae77ecec30",
    "bda5747bfd65f08deb54cb465eb87d40e51b197e",
    "dd2fd4581271e230360230f9337d5c0430bf44c0",
    "8626f6940e2eb28930efb4cef49b2d1f2c9c1199",
)
_GANACHE = (
    "90f8bf6a479f320ead074411a4b0e7944ea8c9c1",
    "ffcf8fdee72ac11b5c542428b35eef5769c409f0",
    "22d491bde2303f2f43325b2108d26f1eaba1e32b",
    "e11ba2b4d45eaed5996cd0823791e0c93114882d",
    "d03ea8624c8c5987235048901fb614fdca89b117",
    "95ced938f7991cd0dfcb48f0a06a40fa1af46ebc",
    "3e5e9111ae8eb78fe1cc3bb8915d5d461f3ef9a9",
    "28a8746e75304c0780e011bed21c72cd78cd535e",
    "aca94ef8bd5ffee41947b4585a84bda5a3d3da6e",
    "1df62f291b2e969fb0849d99d9ce41e2f137006e",
)
_TRUFFLE = (
    "627306090abab3a6e1400e9345bc60c78a8bef57",
    "f17f52151ebef6c7334fad080c5704d77216b732",
    "c5fdf4076b8f3a5357c5e395ab970b5b54098fef",
    "821aea9a577a9b44299b9c15c88cf3087f3b5544",
    "0d1d4e623d10f9fba5db95830f7d3839406c6af2",
    "2932b7a2355d6fecc4b5c0b6bd44cc31df247a2e",
    "2191ef87e392377ec08e7c08eb105ef5448eced5",
    "0f4f2ac550a1b4e2280d04c21cea7ebd822934b5",
    "6330a553fc93768f612722bb8c2ec78ac90b3bbc",
    "5aeda56215b167893e80b4fe645ba6d5bab767de",
)
DEVELOPMENT_ADDRESSES = frozenset(Address("0x" + body) for body in (*_ANVIL, *_GANACHE, *_TRUFFLE))


def refuse_development_keys(address: Address, chain_id: int) -> None:
    """Raises KeyPermissionError for a publicly known key on any chain but a local one (31337, 1337)."""
    if address in DEVELOPMENT_ADDRESSES and chain_id not in DEVELOPMENT_CHAINS:
        raise KeyPermissionError(
            f"the key of {address} is printed in the manual of a development node and may not act on chain {chain_id}; "
            "make your own key"
        )
