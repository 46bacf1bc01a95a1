"""What the agent's own process imports: it must stay small enough to live beside what it measures."""

import subprocess
import sys

ALLOWED = {"grpc", "grpc_health", "google", "deltann_agent", "deltann_proto", "typing_extensions"}
# grpc itself imports these two names where they happen to be installed.
ALLOWED |= {"grpc_tools", "grpc_reflection"}
LIST = """
import sys
before = set(sys.modules)
sys.modules["ssl"] = None
import deltann_agent.cli, deltann_agent.server
for name in sorted(set(sys.modules) - before):
    file = getattr(sys.modules[name], "__file__", None) or ""
    if "." not in name and ("site-packages" in file or "/agent/" in file or "/proto/" in file):
        print(name)
"""


def test_the_agent_imports_only_what_it_may():
    result = subprocess.run(
        [sys.executable, "-c", LIST], capture_output=True, text=True, check=True, timeout=60
    )
    imported = set(result.stdout.split())
    assert {"grpc", "deltann_agent"} <= imported
    assert imported <= ALLOWED


def test_help_is_there_without_loading_grpc():
    code = (
        "import sys; from deltann_agent.cli import main; print('grpc' in sys.modules); main(['serve', '-h'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.startswith("False\n")
    assert "--end-with-parent" in result.stdout
