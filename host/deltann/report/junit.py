"""A gate as JUnit XML, which every CI shows: one test case for each judgement."""

import re
from pathlib import Path
from xml.etree import ElementTree as Xml

from deltann.core.gate import Gate, Judgement, Outcome
from deltann.report.files import write_whole

# What XML 1.0 cannot hold even as a reference; messages of compilers may have colours in them.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(gate: Gate, path: Path) -> None:
    """Write a gate as JUnit XML.

    Raises
    ------
    ResultsError
        If the file cannot be written.
    """
    write_whole(path, junit_xml(gate), "the JUnit file")


def junit_xml(gate: Gate) -> str:
    """Return a gate as JUnit XML: a failure or a skipped case has its sentences."""
    counts = {
        "tests": len(gate.judgements),
        "failures": len(gate.of(Outcome.FAILED)),
        "skipped": len(gate.of(Outcome.SKIPPED)),
        "errors": 0,
    }
    numbers = {name: str(count) for name, count in counts.items()}
    suites = Xml.Element("testsuites", {"name": "deltann gate", **numbers})
    suite = Xml.SubElement(suites, "testsuite", {"name": _text(f"deltann gate {gate.run}"), **numbers})
    for judgement in gate.judgements:
        _add_case(suite, judgement)
    if gate.notes:
        Xml.SubElement(suite, "system-out").text = _text("\n".join(gate.notes))
    Xml.indent(suites)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: Xml.Element, judgement: Judgement) -> None:
    case = Xml.SubElement(
        suite, "testcase", classname=f"deltann.{judgement.group}", name=_text(judgement.name)
    )
    words = _text(" ".join(judgement.sentences))
    if judgement.outcome is Outcome.FAILED:
        Xml.SubElement(case, "failure", message=words, type=judgement.group).text = words
    elif judgement.outcome is Outcome.SKIPPED:
        Xml.SubElement(case, "skipped", message=words)
    elif words:
        Xml.SubElement(case, "system-out").text = words


def _text(words: str) -> str:
    return _NOT_XML.sub("\ufffd", words)
