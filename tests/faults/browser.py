"""A player in headless Chromium: the page players/player.html, served from an origin of its own, so that the gateways' CORS is
part of it."""
import http.server
import pathlib
import threading

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from harness import eventually
from promises import Player

PLAYERS = pathlib.Path(__file__).parent / "players"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]


class Files(http.server.SimpleHTTPRequestHandler):
    """/players/ and /library/"""
    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript"}

    def translate_path(self, path):
        _, folder, *rest = path.split("/")
        return str(self.server.folders.get(folder, pathlib.Path("/nowhere")).joinpath(*rest))

    def log_message(self, *_):
        pass


def serve(folders):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    server.folders = folders
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def start_chromium(profile):
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    return webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


class Page(Player):
    """library: the file of clients/js."""

    def __init__(self, library, config, folder):
        super().__init__(folder / "player.jsonl")
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.server = serve({"players": PLAYERS, "library": library.parent})
        self.driver = start_chromium(folder / "chromium")
        self.driver.get(f"http://127.0.0.1:{self.server.server_port}/players/player.html")
        eventually(lambda: self._run("return typeof begin == 'function'"), what="the page is loaded")
        self._run("begin(arguments[0])", {**config, "library": f"/library/{library.name}"})
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _run(self, script, *args):
        with self.lock:
            return self.driver.execute_script(script, *args)

    def _read(self):
        while not self.stopping.wait(0.1):
            try:
                for line in self._run("return take()"):
                    self.note(line)
            except Exception as error:  # the test has to fail
                self.error = repr(error)
                raise

    def tell(self, word):
        self._run(f"{word}()")

    def is_over(self):
        return self.ended is not None

    def heap(self):
        """Bytes, after a collection."""
        with self.lock:
            self.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
            return self.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"]

    def log(self):
        return ""

    def end(self):
        self.stopping.set()
        self.thread.join(10)
        self.driver.quit()
        self.server.shutdown()
        self.ledger.close()
