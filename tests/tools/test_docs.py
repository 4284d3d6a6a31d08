"""What the pages say exists: the listing, verbs, flags, verbs of ./dev, variables, links, codes."""
import pathlib
import re
import subprocess

import pytest

from harness.cluster import BIN

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md"), ROOT / "deploy" / "README.md"])
OTHER_PROGRAMS = {"--build", "--scale", "--profile", "--only", "--long", "--write", "--now", "--publish", "--add-host"}


def flags_of_dev():
    """Those of the script and of what it runs."""
    sources = [ROOT / "dev", *(ROOT / "tests" / "mutation").glob("*.py"), *(ROOT / "tests" / "world").glob("*")]
    texts = [source.read_text() for source in sources if source.is_file()]
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", "\n".join(texts)))


def pages():
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES]


def code_of(page):
    """Code spans and code blocks."""
    text = page.read_text()
    blocks = re.findall(r"^```.*?^```|(?:^ {4}.*\n)+", text, re.M | re.S)
    return "\n".join(blocks + re.findall(r"`([^`\n]+)`", text))


@pytest.fixture(scope="session")
def help_texts():
    """Verb → its help; "" is the list of verbs."""
    def ask(program, *words):
        return subprocess.run([BIN / program, *words, "--help"], capture_output=True, text=True, check=True).stdout
    listing = ask("signalbox")
    verbs = [line.split()[0] for line in listing.splitlines() if line.startswith("  ")]
    texts = {verb: ask("signalbox", verb) for verb in verbs}
    return {**texts, "": listing, "signalbox-gateway": ask("signalbox-gateway"), "signalbox-broker": ask("signalbox-broker")}


def test_the_readme_shows_the_whole_shipped_app():
    listing = re.search(r"^```lua\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    assert listing == (ROOT / "examples" / "chat" / "app.lua").read_text()


@pytest.mark.parametrize("page", pages())
def test_verbs_exist_and_take_these_flags(help_texts, page):
    wrong = []
    for verb, rest in re.findall(r"(?:^|[`/ (])signalbox ([a-z][a-z-]+)((?: [^`\n#]*)?)", code_of(page), re.M):
        if verb not in help_texts:
            wrong.append(f"no verb {verb}")
            continue
        takes = help_texts[verb]
        if verb == "up":
            takes += help_texts["signalbox-gateway"] + help_texts["signalbox-broker"]
        wrong += [f"{verb} takes no {flag}" for flag in re.findall(r"(?<=[ \[])--[a-z][a-z-]+", rest) if f"  {flag}" not in takes]
    assert not wrong


@pytest.mark.parametrize("page", pages())
def test_flags_and_variables_exist(help_texts, page):
    known = set(re.findall(r"--[a-z][a-z-]+", "".join(help_texts.values()))) | flags_of_dev() | OTHER_PROGRAMS
    compose = (ROOT / "deploy" / "docker-compose.yml").read_text()
    tests = "".join(path.read_text() for path in (ROOT / "tests" / "faults").glob("*.py"))
    variables = set(re.findall(r"SIGNALBOX_[A-Z_]+", compose + tests)) | {f"SIGNALBOX_{flag[2:].upper().replace('-', '_')}" for flag in known}
    code = code_of(page)
    programs = "\n".join(line for line in code.splitlines()
                         if not re.match(r"\s*(?:redis-cli|docker|curl|systemctl|install|openssl|haproxy)\b", line))
    assert not set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", programs)) - known
    assert not set(re.findall(r"SIGNALBOX_[A-Z_]+\b", code)) - variables - {"SIGNALBOX_"}


@pytest.mark.parametrize("page", pages())
def test_dev_verbs_exist(page):
    known = set(re.findall(r"^verb_([a-z]+)\(\)", (ROOT / "dev").read_text(), re.M))
    assert set(re.findall(r"\./dev ([a-z]+)", code_of(page))) <= known


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages())
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        other = page if not name else (page.parent / name).resolve()
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


def test_every_close_code_is_sent():
    """A row that nothing sends is a promise that nobody keeps."""
    names = re.findall(r"^X\((\w+), \d+, (?:STAY|RETURN),", (ROOT / "common" / "base" / "close_reason.def").read_text(), re.M)
    code = "".join(path.read_text() for path in (ROOT / "gateway").rglob("*.c"))
    assert names and [name for name in names if f"CLOSE_{name}" not in code] == []


def test_the_app_of_getting_started_loads(run, folder):
    """And it is the one that the commands below it name."""
    text = (ROOT / "docs" / "getting-started.md").read_text()
    name, app = re.search(r"^```lua\n-- (\w+)/app\.lua\n(.*?)^```", text, re.M | re.S).groups()
    (folder / name).mkdir()
    (folder / name / "app.lua").write_text(app)
    shown = run("check", folder / name).stdout
    assert f"signalbox check {name}" in text and f"signalbox up {name}" in text
    assert all(words in shown for words in re.findall(r'signalbox\.route\("GET", "([^"]+)"', app))


@pytest.mark.parametrize("protocol, port", [("http", "8080"), ("ws", "8080"), ("https", "8443"), ("wss", "8443")])
def test_check_shows_the_port_that_an_endpoint_has_by_default(run, folder, protocol, port):
    files = ', certificate = "c", key = "k"' if protocol in ("https", "wss") else ""
    (folder / "app.lua").write_text(f'signalbox.endpoint {{ protocol = "{protocol}"{files} }}\n')
    row = run("check", folder).stdout.splitlines()[2].split()
    assert row == [protocol, "*", port]
    assert "| `port` | 8080 by default, 8443 with TLS |" in (ROOT / "docs" / "app-file.md").read_text()
