"""The verifier's own Ed25519 accepts what RFC 8032 and `cryptography` accept, and nothing else."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.audit.standalone import remit_verify
from governance.audit.standalone.remit_verify import ORDER, P, verify_signature, verify_signature_here
from tests.audit.standalone.building import KEY

# Section 7.1 of the RFC: public key, message, signature.
VECTORS = {
    "TEST 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe"
        "24655141438e7a100b",
    ),
    "TEST 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302a"
        "eeb00d291612bb0c00",
    ),
    "TEST 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed2"
        "8dc027beceea1ec40a",
    ),
    "TEST SHA(abc)": (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce8"
        "0e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac1"
        "7ad9bef1177331a704",
    ),
}


def is_accepted_by_cryptography(public_key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize("name", VECTORS)
def test_the_vectors_of_the_rfc_are_accepted_and_their_changes_refused(name: str) -> None:
    key, message, signature = map(bytes.fromhex, VECTORS[name])

    assert verify_signature_here(key, message, signature)
    assert not verify_signature_here(key, message + b"!", signature)
    assert not verify_signature_here(key, message, signature[:-1])
    for place in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[place] ^= 1
        assert not verify_signature_here(key, message, bytes(changed))


@settings(max_examples=40)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511), st.booleans())
def test_both_implementations_agree_on_generated_signatures(seed: bytes, message: bytes, bit: int, flip: bool) -> None:
    key = Ed25519PrivateKey.from_private_bytes(seed)
    signature = bytearray(key.sign(message))
    if flip:
        signature[bit // 8] ^= 1 << bit % 8
    facts = key.public_key().public_bytes_raw(), message, bytes(signature)

    assert verify_signature_here(*facts) is is_accepted_by_cryptography(*facts) is not flip


def test_a_second_form_of_a_valid_signature_is_refused_by_both() -> None:
    signature = KEY.sign(b"text")
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
    facts = KEY.public_key().public_bytes_raw(), b"text", malleable

    assert not verify_signature_here(*facts)
    assert not is_accepted_by_cryptography(*facts)


@pytest.mark.parametrize("excess", [0, 1, 18])
def test_a_point_that_is_written_improperly_is_refused_by_both_as_part_of_a_signature(excess: int) -> None:
    improper = (P + excess).to_bytes(32, "little")
    facts = KEY.public_key().public_bytes_raw(), b"text", improper + KEY.sign(b"text")[32:]

    assert not verify_signature_here(*facts)
    assert not is_accepted_by_cryptography(*facts)


@pytest.mark.parametrize(
    "key",
    [
        (1).to_bytes(32, "little"),  # the neutral point: everything is signed by it
        (P - 1).to_bytes(32, "little"),
        (0).to_bytes(32, "little"),
        (P + 1).to_bytes(32, "little"),
        ((1 << 255) | 1).to_bytes(32, "little"),  # zero with a sign
        (2).to_bytes(32, "little"),  # no point of the curve
        b"short",
    ],
    ids=["neutral", "order 2", "order 4", "improper", "minus zero", "no point", "short"],
)
def test_a_key_under_which_anybody_could_sign_is_no_key(key: bytes) -> None:
    assert not remit_verify.is_usable_key(key)


def test_ordinary_keys_are_usable() -> None:
    assert remit_verify.is_usable_key(KEY.public_key().public_bytes_raw())


def test_signatures_are_checked_without_cryptography_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    key, signature = KEY.public_key().public_bytes_raw(), KEY.sign(b"text")

    assert verify_signature(key, b"text", signature)
    assert not verify_signature(key, b"other", signature)
