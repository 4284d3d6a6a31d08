"""D16: a request's path is made canonical once, and that one path is what routes, files, signal routes and handlers see."""
import pytest

from conformance_world import G1, query, unique


def get(w, path, method="GET", headers=None):
    """The status and body of a request whose path goes out as it is written."""
    with w.cluster.raw(G1) as raw:
        raw.request(path, headers, method=method, handshake=False)
        head = raw.read_head()
        return head.status, raw.read_body().decode() if method != "HEAD" else ""


# Each spells /walled/private/s.txt, or would for a server that decodes elsewhere, later or twice.
SPELLINGS = ["/walled/private/s.txt", "/walled//private/s.txt", "//walled/private/s.txt", "/walled/%70rivate/s.txt",
             "/walled/./private/s.txt", "/walled/x/../private/s.txt", "/walled/%2e/private/s.txt", "/%77alled/private//s.txt",
             "/walled/x/%2E%2e/private/s.txt", "/WALLED/PRIVATE/s.txt", "/walled/private/./s.txt", "/walled/private/",
             "/x/..//walled/private/%73.txt", "http://127.0.0.1/walled/private/s.txt", "http://h//walled/%70rivate/s.txt"]
OTHERS = ["/walled/private%2Fs.txt", "/walled/private%2fs.txt", "/walled%2Fprivate/s.txt", "/walled/x%2F..%2Fprivate/s.txt",
          "/walled/%252e%252e/walled/private/s.txt", "/walled/private%252Fs.txt", "/walled/%2570rivate/s.txt",
          "/walled/..%2fwalled/private/s.txt", "/walled/private;/s.txt", "/walled/private./s.txt"]
REFUSED = ["/..", "/../walled/private/s.txt", "/walled/../../walled/private/s.txt", "/%2e%2e/walled/private/s.txt",
           "/walled/private%5Cs.txt", "/walled/open.txt%00", "/walled/open.txt%00.html", "/walled/%", "/walled/%zz/../private/s.txt",
           "/%ff", "/%C3", "/%c0%ae%c0%ae/private/s.txt", "/a%0d%0ab", "/" + "x" * 1024]


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_guard_holds_for_every_spelling(w, path, method):
    assert get(w, path, method)[0] == 401


@pytest.mark.parametrize("path", OTHERS)
def test_what_is_another_path_finds_no_file(w, path):
    assert get(w, path)[0] == 404


@pytest.mark.parametrize("path", REFUSED)
@pytest.mark.parametrize("headers", [None, {"X-PODE-SIGNAL-CLIENT-ID": "nobody"}], ids=["", "reference"])
def test_what_has_no_canonical_form_is_400(w, path, headers):
    status, reason = get(w, path, headers=headers)
    assert status == 400 and reason.startswith("the path ")


def test_files(w):
    assert get(w, "/walled/open.txt") == (200, "open\n") == get(w, "//walled/x/../%6Fpen.txt")
    assert get(w, "/walled/100%25.txt") == (200, "a percent sign\n")
    for outside in "/walled/away.txt", "/walled/OPEN.txt", "/walled/folder%2Findex.html", "/walled/open.txt/":
        assert get(w, outside)[0] == 404


@pytest.mark.parametrize("path", ["/halls/staff", "/halls/%73taff", "//halls/staff", "/halls/x/../staff", "/HALLS/Staff",
                                  "/halls/./%73%74aff", "/halls//staff"])
def test_a_guarded_room_cannot_be_entered(w, path):
    with w.cluster.raw(G1) as raw:
        raw.request(path)
        assert raw.read_head().status == 401


@pytest.mark.parametrize("path, group, answer", [
    ("/halls/%6Cobby", "lobby", "a hall's /halls/lobby"),
    ("/halls/%2573taff", "%73taff", "a hall's /halls/%2573taff"),
    ("/halls/staff%2F", "staff/", "a hall's /halls/staff%2F"),
    ("/x/..//halls/caf%C3%A9", "café", "a hall's /halls/café"),
    ("/halls/..%2Fhalls%2Fstaff", "../halls/staff", "a hall's /halls/..%2Fhalls%2Fstaff"),
])
def test_signal_routes_see_the_path_of_the_routes(w, path, group, answer):
    client = w.connect(G1, query(path, name=unique()))
    client.say("x")
    assert client.group.encode("utf-8", "surrogateescape").decode() == group and client.recv() == answer


@pytest.mark.parametrize("path, shown, params", [
    ("/café", "/café", {}), ("/caf%c3%A9", "/café", {}), ("/th%C3%a9", "/thé", {}), ("/shown/a%20b+c", "/shown/a b+c", {"one": "a b+c"}),
    ("/shown/a%2Fb", "/shown/a%2Fb", {"one": "a/b"}), ("/shown/a%252Fb", "/shown/a%252Fb", {"one": "a%2Fb"}),
    ("/shown/100%25", "/shown/100%25", {"one": "100%"}), ("/shown/a/%2F", "/shown/a/%2F", {"one": "a", "two": "/"}),
    ("/shown//a/./b?c=/../d", "/shown/a/b", {"one": "a", "two": "b"}), ("/all/a%2Fb/c/", "/all/a%2Fb/c/", {}),
])
def test_handlers_see_the_canonical_path(w, path, shown, params):
    reply = w.cluster.http(G1, "GET", path.replace("é", "%C3%A9"))
    assert reply.status == 200, reply
    assert reply.json()["path"] == shown and (reply.json()["params"] or {}) == params


def test_a_trailing_slash_is_another_path(w):
    assert get(w, "/caf%C3%A9/")[0] == 404 and get(w, "/shown/a/")[0] == 404
    assert get(w, "/walled/folder/") == (200, "index\n")


@pytest.mark.parametrize("path, location", [
    ("/walled/folder", "./folder/"), ("/walled/folder?a=1&b=%2F", "./folder/?a=1&b=%2F"), ("/walled/folder?", "./folder/?"),
    ("/shut?a", "./shut/?a"), ("//shut", "./shut/"), ("//evil.example/../walled/folder?x", "./folder/?x"), ("/walled//folder", "./folder/"), ("/walled/f%6Flder", "./folder/"),
])
def test_a_folder_redirects_to_itself(w, path, location):
    """Relative, so that no spelling of a path leads to another host; with the query."""
    with w.cluster.raw(G1) as raw:
        assert raw.request(path, handshake=False).read_head().status == 301
        assert raw.head.get("Location") == location


def test_a_guarded_folder_shows_nothing_without_its_slash(w):
    """/shut/* does not match /shut, so that nothing may be read there."""
    assert get(w, "/shut") == (301, "") and get(w, "/shut/")[0] == get(w, "/shut/index.html")[0] == 401


def test_a_folder_that_a_handler_gives(w):
    """No address is redirected to itself with one more slash."""
    assert get(w, "/filed/") == get(w, "/filed/x/") == (200, "index\n")
    assert get(w, "/filed/x")[0] == 301


def test_only_get_and_head_are_spared_a_file(w):
    """RFC 9110, 13.1.2: 304 is an answer to GET and HEAD."""
    same = {"If-None-Match": "*"}
    assert get(w, "/walled/open.txt", headers=same)[0] == get(w, "/walled/open.txt", "HEAD", same)[0] == 304
    assert get(w, "/filed", "POST", same) == (200, "open\n")


@pytest.mark.parametrize("path, name", [("/r%6Fom", "/room"), ("//a/./b/../c/", "/a/c/"), ("/a%2Fb", "/a%2Fb"), ("/a%20b", "/a b"),
                                        ("/Case", "/Case"), ("/caf%C3%A9", "/café"), ("/", "/")])
def test_the_name_of_an_auto_upgraded_connection(endpoints, path, name):
    assert endpoints.at("AUTO", path).name.encode("utf-8", "surrogateescape").decode() == name


@pytest.mark.parametrize("path", ["/..", "/a%zz", "/%ff", "/a%00"])
def test_an_auto_upgraded_path_without_a_form(endpoints, path):
    assert endpoints.raw("AUTO").request(path).read_head().status == 400
