"""What lies in deploy/ asks for metrics that there are, by labels that they have."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.splice.admin.admin_house import AdminHouse

DEPLOY = Path(__file__).parents[3] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
ALERTS = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
EXPRESSIONS += [rule["expr"] for rule in ALERTS]
SUFFIXES = ("_bucket", "_total", "")


@pytest.fixture
def families(house: AdminHouse) -> set[str]:
    text = house.admin._metrics.text().decode()
    return {family.name for family in text_string_to_metric_families(text)}


async def test_every_metric_that_is_asked_for_is_there(families: set[str]) -> None:
    asked = {name for text in EXPRESSIONS for name in re.findall(r"\b(?:splice|process)_\w+", text)}
    assert len(asked) > 15
    for name in asked:
        assert any(name.removesuffix(suffix) in families for suffix in SUFFIXES if name.endswith(suffix)), name


async def test_every_metric_is_looked_at_by_somebody(families: set[str]) -> None:
    asked = " ".join(EXPRESSIONS) + json.dumps(DASHBOARD["templating"])
    own = {name for name in families if name.startswith("splice_") and not name.endswith("_created")}
    assert {name for name in own if name not in asked} == {
        "splice_draining",
        "splice_publisher_starts",
        "splice_publisher_ends",
    }


def test_every_alert_says_what_it_means() -> None:
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["description"].endswith(".")
