"""Where a secret lies, in the words of sources and senders, brought to kinds that can be judged."""

from collections.abc import Mapping

# Made for secrets: access is checked, reading leaves a trace.
SANCTIONED = frozenset({"vault", "secret_manager", "kms", "hsm", "tpm", "platform_store", "memory"})
# Whoever may read the text around it reads the secret.
UNSANCTIONED = frozenset({"source", "image_layer", "plaintext_config", "unmasked_ci_var", "wiki", "chat"})
# Neither is said: a store that masks it in output, but gives it to every job that may ask.
OTHER = frozenset({"masked_ci_var"})

_OTHER_WORDS: Mapping[str, str] = {
    "kubernetes secret": "platform_store",
    "in the configuration file itself": "plaintext_config",
    "ci variable": "masked_ci_var",
    "ci secret": "masked_ci_var",
    "hashicorp vault": "vault",
    "aws secrets manager": "secret_manager",
    "azure key vault": "vault",
    "gcp secret manager": "secret_manager",
    "source code": "source",
    "git": "source",
}


def kind_of_storage(words: str) -> str | None:
    """One of the kinds above, or None where the words say nothing that could be judged ("outside, by reference")."""
    plain = " ".join(words.lower().split())
    # A place within a store is written behind a colon: "vault:kv/ledger".
    first = plain.partition(":")[0].strip()
    kinds = SANCTIONED | UNSANCTIONED | OTHER
    for candidate in (plain, first):
        found = _OTHER_WORDS.get(candidate, candidate.replace(" ", "_").replace("-", "_"))
        if found in kinds:
            return found
    return None
