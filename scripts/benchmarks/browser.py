"""How long a report takes to open in Chromium, without a screen and without a network."""

import json
import re
import shutil
import subprocess
import tempfile
from html import unescape
from pathlib import Path

DEADLINE_S = 120
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# The outer page loads the report as a person's click does, and has its layout worked out to the end.
_PAGE = """\
<!doctype html><title>opening</title><script>
const begun = performance.now();
addEventListener("load", () => {
  document.querySelector("iframe").contentDocument.body.getBoundingClientRect();
  const opened_ms = performance.now() - begun;
  document.body.replaceChildren();
  const answer = document.createElement("pre");
  answer.textContent = JSON.stringify(opened_ms);
  document.body.append(answer);
});
</script><body><iframe src="%s" style="width:1200px;height:900px"></iframe>
"""


def find_browser() -> str | None:
    """Return the program of a browser, None where there is none."""
    return next(filter(None, map(shutil.which, _BROWSERS)), None)


def opening_s(browser: str, report: Path) -> float:
    """Return how long a report takes from the first byte asked for until it can be drawn, seconds.

    Raises
    ------
    RuntimeError
        If the browser does not say.
    """
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(_PAGE % report.resolve().as_uri())
        done = subprocess.run(
            [
                browser,
                *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                "--allow-file-access-from-files",
                f"--user-data-dir={folder}/profile",
                "--dump-dom",
                page.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
    told = re.search(r"<pre>(.*?)</pre>", done.stdout)
    if told is None:
        raise RuntimeError(f"the browser ended with status {done.returncode} and said nothing")
    return float(json.loads(unescape(told[1]))) / 1000
