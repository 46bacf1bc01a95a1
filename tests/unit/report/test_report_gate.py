from xml.etree import ElementTree as Xml

import pytest

from deltann.core.errors import ResultsError
from deltann.core.gate import Gate, Judgement, Limits, Outcome
from deltann.report.gate import gate_json, gate_sentence
from deltann.report.junit import junit_xml, write_junit

STRICT = Limits()
PASSED = Judgement("level", "a → b", Outcome.PASSED, ("Time as before.",))
FAILED = Judgement("level", "a → <c>", Outcome.FAILED, ("c is \x1b[31mwrong\x1b[0m.", "And slow."))
SKIPPED = Judgement("runtime", "a → d", Outcome.SKIPPED, ("d has no answers.",))


def gate(*judgements, limits=STRICT, notes=()):
    return Gate("runs/x", None, limits, judgements, len(judgements), 1, notes)


def test_junit_has_a_case_for_each_judgement_with_its_sentences():
    text = junit_xml(gate(PASSED, FAILED, SKIPPED, notes=("Only in A: e.",)))
    suites = Xml.fromstring(text)
    (suite,) = suites
    for element in (suites, suite):
        assert [element.get(name) for name in ("tests", "failures", "skipped", "errors")] == [
            "3",
            "1",
            "1",
            "0",
        ]
    cases = suite.findall("testcase")
    assert [case.get("classname") for case in cases] == ["deltann.level", "deltann.level", "deltann.runtime"]
    assert [case.get("name") for case in cases] == ["a → b", "a → <c>", "a → d"]
    assert [[child.tag for child in case] for case in cases] == [["system-out"], ["failure"], ["skipped"]]
    assert cases[1][0].get("message") == "c is �[31mwrong�[0m. And slow.", "XML holds no control characters"
    assert suite.find("system-out").text == "Only in A: e."


def test_a_junit_file_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match="the JUnit file cannot be written"):
        write_junit(gate(PASSED), tmp_path / "file" / "gate.xml")


@pytest.mark.parametrize(
    ("judgements", "limits", "passed", "sentence"),
    [
        ((PASSED,), Limits(), True, "The gate is open: 1 pair judged, none over its limits."),
        (
            (PASSED, SKIPPED),
            Limits(0, 0.03),
            True,
            "The gate is open: 2 pairs judged, 1 of them by time, none over its limits.",
        ),
        ((PASSED, FAILED), Limits(), False, "The gate is closed: 1 of 2 checks failed (2 pairs judged)."),
        ((SKIPPED,), Limits(), False, "The gate is closed: nothing could be judged."),
    ],
)
def test_the_sentence_says_how_it_ended(judgements, limits, passed, sentence):
    found = gate(*judgements, limits=limits)
    assert found.passed is passed
    assert gate_sentence(found) == sentence
    assert gate_json(found)["passed"] is passed
