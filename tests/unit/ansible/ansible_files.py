"""The playbook's files, read and rendered without Ansible."""

import json
from pathlib import Path
from typing import Any

import jinja2
import yaml

ANSIBLE = Path(__file__).parents[3] / "ansible"
ROLES = ("deltann_base", "deltann_pki", "deltann_agent", "deltann_tuning")
GROUPS = ("rpi", "jetson", "x86_gpu", "emulated")


def load(path: str) -> Any:
    return yaml.safe_load((ANSIBLE / path).read_text())


def defaults(role: str) -> dict[str, Any]:
    return load(f"roles/{role}/defaults/main.yml")


def group_variables(group: str) -> dict[str, Any]:
    return load(f"group_vars/{group}.yml")


def render(role: str, template: str, **variables: Any) -> str:
    """Return a template of a role, filled in as Ansible does."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(ANSIBLE / "roles" / role / "templates"),
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["to_nice_json"] = lambda value, indent: json.dumps(value, indent=indent)
    return environment.get_template(template).render({**defaults(role), **variables})
