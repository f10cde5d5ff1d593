"""Where keys come from, and whom we refuse to read them from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from keeper.adapters.signers import SIGNERS, open_signer
from keeper.adapters.signers.curve import check_backend
from keeper.adapters.signers.development_keys import DEVELOPMENT_ADDRESSES, refuse_development_keys
from keeper.domain.ids import Address
from keeper.errors import ConfigError, KeyPermissionError

_KEY = "c0ffee" * 10 + "beef"
_ADDRESS = Account.from_key(_KEY).address.lower()
_ANVIL_0 = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
_MAINNET = 1


def _written(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("text", [_KEY, "0x" + _KEY, _KEY.upper() + "\n", "  0x" + _KEY + "\r\n"])
def test_key_file__hexadecimal_with_or_without_prefix__opens(tmp_path: Path, text: str) -> None:
    options = {"file": _written(tmp_path / "key", text)}
    assert open_signer("key_file", options, _MAINNET, "signers.gas", environ={}).address == _ADDRESS


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o610, 0o777])
def test_key_file__readable_by_others__is_refused_with_the_command_that_heals_it(tmp_path: Path, mode: int) -> None:
    path = _written(tmp_path / "key", _KEY, mode)
    with pytest.raises(KeyPermissionError, match=rf"signers\.gas: .* run: chmod 600 {re.escape(path)}"):
        open_signer("key_file", {"file": path}, _MAINNET, "signers.gas", environ={})


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_key_file__readable_by_its_owner_alone__opens(tmp_path: Path, mode: int) -> None:
    path = _written(tmp_path / "key", _KEY, mode)
    assert open_signer("key_file", {"file": path}, _MAINNET, "s", environ={}).address == _ADDRESS


def test_key_file__missing_link_directory_or_pipe__is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(_written(tmp_path / "key", _KEY))
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name, problem in (
        ("none", "No such file"),
        ("link", "symbolic link"),
        (".", "regular file"),
        ("pipe", "regular file"),
    ):
        with pytest.raises(KeyPermissionError, match=problem):
            open_signer("key_file", {"file": str(tmp_path / name)}, _MAINNET, "s", environ={})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_key_file__that_belongs_to_somebody_else__is_refused(tmp_path: Path) -> None:
    path = _written(tmp_path / "key", _KEY)
    os.chown(path, 4242, 4242)
    with pytest.raises(KeyPermissionError, match=f"belongs to user 4242; run: chown 0 {re.escape(path)}"):
        open_signer("key_file", {"file": path}, _MAINNET, "s", environ={})


@pytest.mark.parametrize("text", ["", "0x", _KEY[:-1], _KEY + "0", "zz" * 32, "00" * 32, "ff" * 32, "x" * 70_000])
def test_key_file__that_holds_no_key__is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyPermissionError, match=r"does not hold a private key|too large"):
        open_signer("key_file", {"file": _written(tmp_path / "key", text)}, _MAINNET, "s", environ={})


def test_credential__from_systemds_directory__opens_even_where_its_access_list_shows_as_a_group(tmp_path: Path) -> None:
    _written(tmp_path / "signer", _KEY, 0o440)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert open_signer("key_file", {"file": "cred:signer"}, _MAINNET, "s", environ=environ).address == _ADDRESS
    _written(tmp_path / "open", _KEY, 0o444)
    with pytest.raises(KeyPermissionError, match="chmod"):
        open_signer("key_file", {"file": "cred:open"}, _MAINNET, "s", environ=environ)


def test_credential__outside_systemd_or_outside_its_directory__is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LoadCredential"):
        open_signer("key_file", {"file": "cred:signer"}, _MAINNET, "s", environ={})
    for name in ("cred:../key", "cred:", "cred:..", "cred:/etc/passwd"):
        with pytest.raises(ConfigError, match="not the name of a credential"):
            open_signer("key_file", {"file": name}, _MAINNET, "s", environ={"CREDENTIALS_DIRECTORY": str(tmp_path)})


def test_environment__only_when_named_as_insecure__opens(tmp_path: Path) -> None:
    environ = {"KEEPER_KEY": _KEY}
    assert open_signer("key_file", {"insecure_env": "KEEPER_KEY"}, 1, "s", environ=environ).address == _ADDRESS
    with pytest.raises(KeyPermissionError, match=r"\$OTHER is not set"):
        open_signer("key_file", {"insecure_env": "OTHER"}, 1, "s", environ=environ)
    both = {"insecure_env": "KEEPER_KEY", "file": _written(tmp_path / "key", _KEY)}
    for options in ({}, both):
        with pytest.raises(ConfigError, match="either file or insecure_env"):
            open_signer("key_file", options, 1, "s", environ=environ)


@pytest.mark.parametrize(
    ("kind", "options", "problem"),
    [
        ("kms", {}, "s.kind: 'kms' is not one of key_file, keystore"),
        ("key_file", {"fiel": "x"}, "s.fiel: unknown option; did you mean file?"),
        ("key_file", {"file": 7}, "s.file: a text is due"),
        ("keystore", {"file": "x"}, "s.password_file: is missing"),
    ],
)
def test_options__that_cannot_be_used__are_named(kind: str, options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)):
        open_signer(kind, options, _MAINNET, "s", environ={})


def _keystore(tmp_path: Path, password: str = "open sesame\n", **changes: Any) -> dict[str, object]:
    made = Account.encrypt(bytes.fromhex(_KEY), "open sesame", kdf="scrypt", iterations=2)
    return {
        "file": _written(tmp_path / "keystore.json", json.dumps({**made, **changes})),
        "password_file": _written(tmp_path / "password", password),
    }


@pytest.mark.parametrize("password", ["open sesame", "open sesame\n", "open sesame\r\n"])
def test_keystore__with_its_password__opens(tmp_path: Path, password: str) -> None:
    options = _keystore(tmp_path, password)
    assert open_signer("keystore", options, _MAINNET, "s", environ={}).address == _ADDRESS


@pytest.mark.parametrize(
    ("password", "changes", "problem"),
    [
        ("open sesame\n\n", {}, "password is wrong"),
        ("wrong", {}, "password is wrong"),
        ("open sesame", {"version": 4}, "no keystore of version 3"),
        ("open sesame", {"crypto": {}}, "no keystore of version 3"),
        ("open sesame", {"crypto": None}, "no keystore of version 3"),
        ("open sesame", {"address": "11" * 20}, f"another address than its key has, {_ADDRESS}"),
    ],
)
def test_keystore__that_does_not_open__is_refused(
    tmp_path: Path, password: str, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(KeyPermissionError, match=problem):
        open_signer("keystore", _keystore(tmp_path, password, **changes), _MAINNET, "s", environ={})


@pytest.mark.parametrize("text", ["", "[]", "7", "null", '{"version": 3}', "\xff"])
def test_keystore__that_is_none__is_refused(tmp_path: Path, text: str) -> None:
    options = {**_keystore(tmp_path), "file": _written(tmp_path / "other", text)}
    with pytest.raises(KeyPermissionError, match="no keystore of version 3"):
        open_signer("keystore", options, _MAINNET, "s", environ={})


def test_keystore__with_a_password_that_others_can_read__is_refused(tmp_path: Path) -> None:
    options = _keystore(tmp_path)
    (tmp_path / "password").chmod(0o644)
    with pytest.raises(KeyPermissionError, match="password has mode 0644"):
        open_signer("keystore", options, _MAINNET, "s", environ={})


def test_development_keys__are_those_of_the_published_mnemonics() -> None:
    Account.enable_unaudited_hdwallet_features()
    mnemonics = {
        "test test test test test test test test test test test junk": 20,
        "myth like bonus scare over problem client lizard pioneer submit female collect": 10,
        "candy maple cake sugar pudding cream honey rich smooth crumble sweet treat": 10,
    }
    derived = {
        Account.from_mnemonic(words, account_path=f"m/44'/60'/0'/0/{i}").address.lower()
        for words, count in mnemonics.items()
        for i in range(count)
    }
    assert derived == DEVELOPMENT_ADDRESSES


@pytest.mark.parametrize("chain_id", [1, 10, 8453, 42161, 11155111, 31338])
def test_development_key__on_any_real_chain__is_refused_naming_the_address_alone(tmp_path: Path, chain_id: int) -> None:
    options = {"file": _written(tmp_path / "key", _ANVIL_0)}
    with pytest.raises(KeyPermissionError, match="0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266") as caught:
        open_signer("key_file", options, chain_id, "signers.gas", environ={})
    assert _ANVIL_0 not in str(caught.value)


def test_development_key__on_a_local_chain__opens(tmp_path: Path) -> None:
    options = {"file": _written(tmp_path / "key", _ANVIL_0)}
    for chain_id in (31337, 1337):
        assert open_signer("key_file", options, chain_id, "s", environ={}).address in DEVELOPMENT_ADDRESSES
    refuse_development_keys(Address(_ADDRESS), _MAINNET)


def test_check_backend__with_coincurve__passes() -> None:
    check_backend()


def test_check_backend__without_coincurve__says_what_to_install() -> None:
    """A new interpreter that cannot import coincurve, as on a machine without it."""
    program = (
        "import sys; sys.modules['coincurve'] = None\n"
        "from keeper.adapters.signers.curve import check_backend\n"
        "from keeper.errors import ConfigError\n"
        "try:\n    check_backend()\nexcept ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=20)
    assert "pip install coincurve" in done.stdout


def test_registry__every_kind__opens_the_same_key(tmp_path: Path) -> None:
    """The contract of every entry of SIGNERS: a new kind needs its options here."""
    key_file: dict[str, object] = {"file": _written(tmp_path / "key", _KEY)}
    options: dict[str, dict[str, object]] = {"key_file": key_file, "keystore": _keystore(tmp_path)}
    assert {kind: open_signer(kind, options[kind], 5, "s", environ={}).address for kind in SIGNERS} == dict.fromkeys(
        SIGNERS, _ADDRESS
    )
