"""The catalogue of bad input has no row without a proof, and no proof that is gone."""

import re
from pathlib import Path

from tests.contract.bad_input import ROWS
from tests.contract.bad_input_proofs import PROOFS

TESTS = Path(__file__).resolve().parents[1]
LAST_ROW = 61


def test_every_row_of_the_catalogue_is_proven_somewhere() -> None:
    walked = {name.partition("-")[0] for name, *_ in ROWS}
    missing = {f"B{number}" for number in range(1, LAST_ROW + 1)} - walked - set(PROOFS)
    assert missing == set()


def test_every_proof_that_is_named_is_a_test() -> None:
    named = [proof for _, proofs in PROOFS.values() for proof in proofs]
    gone = []
    for proof in named:
        file, _, test = proof.partition("::")
        if not re.search(rf"^(async )?def {test}\(", (TESTS / file).read_text(), re.MULTILINE):
            gone.append(proof)
    assert gone == []
