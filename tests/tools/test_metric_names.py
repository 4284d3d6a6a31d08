"""Every metric that the alerts, the board, the scrape file and the pages name is one that a running process exposes."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest
import yaml

from promql import RATES, Query

ROOT = pathlib.Path(__file__).resolve().parents[2]
METRICS = ROOT / "deploy" / "metrics"
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "deploy" / "README.md"])


def alerts():
    return [(rule["alert"], rule) for group in yaml.safe_load((METRICS / "alerts.yml").read_text())["groups"]
            for rule in group["rules"]]


def targets():
    return [(f"{panel['title']} {target['refId']}", panel, target)
            for panel in json.loads((METRICS / "signalbox.json").read_text())["panels"] for target in panel["targets"]]


def jobs():
    return {job["job_name"]: job for job in yaml.safe_load((METRICS / "prometheus.yml").read_text())["scrape_configs"]}


@pytest.fixture(scope="session")
def kinds(cluster):
    """Metric → "counter" or "gauge", the same in every daemon."""
    found = [dict(re.findall(r"^# TYPE (\S+) (\S+)$", daemon.admin("GET", "/metrics").text, re.M))
             for daemon in (cluster.gateways[0], cluster.brokers[0])]
    assert found[0] == found[1] and found[0]
    return found[0]


def named(query, kinds):
    """What the query asks for, with {__name__=~"…"} spelled out."""
    for name, functions, has_range, matchers in query.metrics:
        others = {label: text for label, text in matchers.items() if label != "__name__"}
        names = [name] if name else [known for known in kinds if re.fullmatch(matchers["__name__"], known)]
        assert names, f"no process exposes {matchers}"
        yield from ((known, functions, has_range, others) for known in names)


def check(query, kinds):
    for name, functions, has_range, matchers in named(query, kinds):
        assert name in kinds or name == "up", f"no process exposes {name}"
        kind = kinds.get(name, "gauge")
        rates = RATES & set(functions)
        assert not (rates and kind != "counter"), f"{rates} of the gauge {name}"
        assert rates or kind != "counter", f"{name} only grows: say rate or increase"
        assert has_range == bool(rates or [f for f in functions if f.endswith("_over_time")]), name
        assert set(matchers) <= {"job", "instance"}, f"{name} has no labels {set(matchers)}"
        for pattern in [text for label, text in matchers.items() if label == "job"]:
            assert set(re.split(r"\|", pattern)) <= set(jobs()), f"no job {pattern} is scraped"
    assert query.labels <= {"job", "instance"}


def labels_of(template):
    return set(re.findall(r"\$labels\.(\w+)", template)) | set(re.findall(r"\{\{\s*(\w+)\s*\}\}", template))


@pytest.mark.parametrize("rule", [pytest.param(rule, id=name) for name, rule in alerts()])
def test_alerts(kinds, rule):
    assert set(rule) <= {"alert", "expr", "for", "annotations", "labels"} and rule["annotations"]["summary"]
    query = Query(rule["expr"])
    check(query, kinds)
    aggregated = re.match(r"\s*(sum|max|min|absent)\b", rule["expr"])
    assert not aggregated or not labels_of(rule["annotations"]["summary"]), "the labels are summed away"
    assert labels_of(rule["annotations"]["summary"]) <= {"job", "instance", "__name__"}


@pytest.mark.parametrize("panel, target", [pytest.param(panel, target, id=name) for name, panel, target in targets()])
def test_board(kinds, panel, target):
    assert panel["title"] and panel["description"] is not None
    check(Query(target["expr"]), kinds)
    legend = labels_of(target["legendFormat"])
    assert legend <= {"job", "instance"} and not (legend and target["expr"].startswith("sum("))


def test_what_the_table_asks_to_alert_on_has_an_alert(cluster, kinds):
    wanted = re.findall(r"^# HELP (\w+) .*alert (?:on any|when)", cluster.brokers[0].admin("GET", "/metrics").text, re.M)
    asked = {name for _, rule in alerts() for name, *_ in named(Query(rule["expr"]), kinds)}
    assert len(wanted) >= 6 and not set(wanted) - asked


def test_no_metric_has_labels(cluster):
    """What comes from outside cannot make time series."""
    for daemon in cluster.daemons:
        assert not [line for line in daemon.admin("GET", "/metrics").body.splitlines() if b"{" in line and not line.startswith(b"#")]


def test_scrape_file_fits_the_compose_file():
    services = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())["services"]
    for name, job in jobs().items():
        found, = job["dns_sd_configs"]
        assert found["names"] == [name]
        assert any(str(word).endswith(f":{found['port']}") for word in services[name]["command"]), found["port"]
    assert yaml.safe_load((METRICS / "prometheus.yml").read_text())["rule_files"] == ["alerts.yml"]


def test_pages_name_metrics_in_full(kinds):
    bare = {name.removeprefix("signalbox_"): name for name in kinds}
    bare.update({short.removesuffix("_total"): name for short, name in list(bare.items())})
    networks = yaml.safe_load((ROOT / "deploy" / "docker-compose.yml").read_text())["networks"]
    others = {f"signalbox_{network}" for network in networks}
    wrong = []
    for page in PAGES:
        for word in re.findall(r"\b\w+\b", " ".join(re.findall(r"`([^`\n]+)`", page.read_text()))):
            if word.endswith("_"):  # signalbox_trouble_…
                assert not word.startswith("signalbox_") or any(known.startswith(word) for known in kinds)
            elif re.match(r"signalbox_[a-z]", word) and word not in kinds and word not in others:
                wrong.append(f"{page.name}: no metric {word}")
            elif word in bare and word.count("_"):
                wrong.append(f"{page.name}: {word} is {bare[word]}")
    assert not wrong


@pytest.mark.parametrize("text, why", [
    ("signalbox_nothing > 0", "no process"), ("signalbox_buried_total > 0", "only grows"),
    ("rate(signalbox_websockets[1m])", "gauge"), ('up{job="gate"} == 0', "no job"),
    ('signalbox_websockets{name="x"}', "no labels"), ('{__name__=~"signalbox_nothing.*"} > 0', "no process"),
])
def test_the_check_finds_what_is_wrong(kinds, text, why):
    with pytest.raises(AssertionError, match=why):
        check(Query(text), kinds)


@pytest.mark.parametrize("text", ["sum(up", "up)", "rte(up[1m])", "up[1x]", "up{job}", "sum by job (up)", "up ? 1"])
def test_the_reader_refuses_what_is_no_promql(text):
    with pytest.raises(ValueError):
        Query(text)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_takes_the_rules():
    for what, file in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = subprocess.run(["promtool", "check", what, file], cwd=METRICS, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
