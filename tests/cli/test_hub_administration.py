"""`cwt hub repo|token|stats`, on a data folder and against a running hub: the same commands, the same output."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hundredweight.base.errors import CwtError, UsageError
from hundredweight.cli.cwt.hub_token import parse_expiry
from hundredweight.cli.env import Environment
from hundredweight.cli.main import CWT_COMMANDS, dispatch, report
from hundredweight.cli.table import format_moment, format_table
from tests.people import Person
from tests.running_hub import RunningHub

WAYS = ["data", "hub"]


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person("ada", tmp_path / "ada")


def where(hub: RunningHub, way: str) -> list[str]:
    return ["--data", str(hub.data)] if way == "data" else ["--hub", hub.url, "--data", str(hub.data)]


def run_hub(ada: Person, *args: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """`cwt hub ARGS`, in this process: starting one each time costs more than the tests."""
    out, err = io.StringIO(), io.StringIO()
    environment = Environment({**ada.env, **variables}, str(ada.home))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(stdin))
        try:
            code = dispatch("cwt", CWT_COMMANDS, ["hub", *args], environment)
        except CwtError as error:
            code = report("cwt", error)
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())


def cwt_hub(ada: Person, hub: RunningHub, way: str, *args: str) -> str:
    done = run_hub(ada, *args, *where(hub, way))
    assert done.returncode == 0, done.stderr
    return done.stdout


def failure(ada: Person, hub: RunningHub, way: str, *args: str) -> tuple[int, str]:
    done = run_hub(ada, *args, *where(hub, way))
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("way", WAYS)
def test_repositories(hub: RunningHub, ada: Person, way: str) -> None:
    name, other = hub.new_name(way), hub.new_name(way)
    assert cwt_hub(ada, hub, way, "repo", "create", name) == f"created {name}\n"
    made = json.loads(cwt_hub(ada, hub, way, "repo", "create", other, "--public", "--json"))
    assert (made["name"], made["public"]) == (other, True)
    assert ada.git("ls-remote", hub.remote(other)) == "", "public"
    listed = [
        one for one in json.loads(cwt_hub(ada, hub, way, "repo", "list", "--json")) if one["name"].startswith(way)
    ]
    assert [one["name"] for one in listed] == [name, other]
    table = cwt_hub(ada, hub, way, "repo", "list").splitlines()
    assert re.fullmatch(r"NAME +ACCESS +CREATED +BY", table[0])
    assert any(re.fullmatch(rf"{name} +private +\d{{4}}-\d\d-\d\d \d\d:\d\d  \w+", line) for line in table)

    code, text = failure(ada, hub, way, "repo", "create", name)
    assert (code != 0, f"error: repository '{name}' exists already\n" in text) == (True, True)
    assert "hint: choose another name" in text
    code, text = failure(ada, hub, way, "repo", "create", "../evil")
    assert (code != 0, "error: invalid repository name '../evil'\n" in text) == (True, True)

    refused = run_hub(ada, "repo", "delete", name, *where(hub, way), stdin="n\n")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("[y/N] nothing was deleted\n")
    assert cwt_hub(ada, hub, way, "repo", "delete", "--yes", name) == f"deleted {name}\n"
    code, text = failure(ada, hub, way, "repo", "delete", "--yes", name)
    assert (code != 0, f"error: repository '{name}' was not found\n" in text) == (True, True)


@pytest.mark.parametrize("way", WAYS)
def test_tokens(hub: RunningHub, ada: Person, way: str) -> None:
    name = f"ci {way}"
    done = run_hub(ada, "token", "create", "--user", "bob", "--scope", "write", "--name", name, "--repo", "a/b",
                   "--expires", "2d", *where(hub, way))  # fmt: skip
    token = done.stdout.strip()
    assert re.fullmatch(r"cwt_\w+\n", done.stdout)
    assert re.fullmatch(r"token \d+ of bob: write on a/b; it is shown this once\n", done.stderr)
    assert hub.refused("GET", "/c/d.git/info/refs?service=git-receive-pack", token=token)[0] == 404

    listed = cwt_hub(ada, hub, way, "token", "list")
    assert token not in listed
    line = next(line for line in listed.splitlines() if name in line)
    assert re.fullmatch(rf" *\d+  {name} +bob +write +a/b +\S+ \S+ +\S+( \S+)? +\S+ \S+ +live", line)
    assert cwt_hub(ada, hub, way, "token", "revoke", name).startswith("revoked token ")
    assert name not in cwt_hub(ada, hub, way, "token", "list")
    assert re.search(rf"{name} .*revoked", cwt_hub(ada, hub, way, "token", "list", "--all"))
    assert hub.refused("GET", "/a/b.git/info/refs?service=git-receive-pack", token=token)[0] == 401
    code, text = failure(ada, hub, way, "token", "revoke", name)
    assert (code != 0, f"error: no live token '{name}'\n" in text) == (True, True)

    made = json.loads(cwt_hub(ada, hub, way, "token", "create", "--user", "eve", "--json"))
    assert (made["user"], made["scope"], made["repository"], made["expires_at"]) == ("eve", "read", "", None)
    facts = {key: value for key, value in made.items() if key != "token"}
    assert facts in json.loads(cwt_hub(ada, hub, way, "token", "list", "--json"))


def stats_of(found: dict[str, Any], name: str) -> dict[str, Any]:
    one: dict[str, Any] = next(one for one in found["by_repository"] if one["name"] == name)
    return one


@pytest.mark.parametrize("way", WAYS)
def test_stats_count_a_shared_object_once(own_hub: RunningHub, ada: Person, way: str) -> None:
    for name, contents in (("a/one", [b"x" * 1000, b"y" * 500]), ("a/two", [b"x" * 1000])):
        own_hub.api("POST", "/repositories", {"name": name})
        for content in contents:
            own_hub.upload(name, content)
    found = json.loads(cwt_hub(ada, own_hub, way, "stats", "--json"))
    assert {key: value for key, value in found.items() if key != "by_repository"} == {
        "repositories": 2, "objects": 2, "logical_bytes": 2500, "stored_bytes": 1500,
    }  # fmt: skip
    one = {"name": "a/one", "objects": 2, "logical_bytes": 1500, "stored_bytes": 1500, "shared_bytes": 1000}
    assert stats_of(found, "a/one") == one
    assert stats_of(found, "a/two")["shared_bytes"] == 1000
    assert cwt_hub(ada, own_hub, way, "stats") == (
        "REPOSITORY      OBJECTS  LOGICAL  STORED  SHARED\n"
        "a/one                 2   1.5 KB  1.5 KB  1.0 KB\n"
        "a/two                 1   1.0 KB  1.0 KB  1.0 KB\n"
        "2 repositories        2   2.5 KB  1.5 KB\n"
    )


def test_the_program_itself(hub: RunningHub, ada: Person) -> None:
    """The wiring: argv, environment, streams, exit codes."""
    assert "REPOSITORY" in ada.run("cwt", "hub", "stats", "--data", str(hub.data)).stdout
    done = ada.run("cwt", "hub", "token", "create", "--user", "x", "--scope", "root", check=False)
    assert (done.returncode, "invalid choice: 'root'" in done.stderr) == (2, True)
    done = ada.run("cwt", "hub", "nonsense", check=False)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, "error: unknown command 'hub nonsense'")
    listed = ada.run("cwt", "hub", "--help").stdout
    assert all(name in listed for name in ("serve", "repo", "token", "stats"))
    assert "pre-receive" not in listed


def test_the_api_is_for_admins(hub: RunningHub) -> None:
    for scope, status in (("read", 403), ("write", 403)):
        token = hub.new_token("nosy", scope)
        for method, path in (("GET", "/tokens"), ("GET", "/stats"), ("GET", "/repositories"), ("DELETE", "/tokens/1")):
            assert hub.refused(method, "/api/v1" + path, token=token)[0] == status
        assert hub.refused("POST", "/api/v1/repositories", {"name": "a/nosy"}, token=token)[0] == status
    assert hub.refused("GET", "/api/v1/stats", token="")[0] == 401
    bound = hub.new_token("owner", "admin", "mine")
    assert hub.refused("GET", "/api/v1/tokens", token=bound)[0] == 403
    assert hub.api("POST", "/repositories", {"name": "mine/own"}, token=bound)["name"] == "mine/own"
    assert hub.refused("POST", "/api/v1/repositories", {"name": "others/x"}, token=bound)[0] == 403
    assert hub.request("DELETE", "/api/v1/repositories/mine/own", token=bound)[0] == 204


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/repositories", b"nonsense", 422),
        ("/repositories", {"name": "noslash"}, 422),
        ("/repositories", {"name": "a/b", "public": "yes"}, 422),
        ("/tokens", {"user": "x"}, 422),
        ("/tokens", {"user": "x", "scope": "root"}, 422),
        ("/tokens", {"user": "", "scope": "read"}, 422),
        ("/tokens", {"user": "x", "scope": "read", "repository": "a/b/c"}, 422),
        ("/tokens", {"user": "x", "scope": "read", "expires_at": -5}, 422),
    ],
)  # fmt: skip
def test_bad_requests(hub: RunningHub, path: str, body: bytes | dict[str, Any], status: int) -> None:
    found, answer = hub.refused("POST", "/api/v1" + path, body)
    assert found == status
    assert answer["message"]
    assert answer["request_id"]


def test_an_expired_token_opens_nothing(hub: RunningHub) -> None:
    token = hub.api("POST", "/tokens", {"user": "x", "scope": "read", "expires_at": 1000})["token"]
    assert hub.refused("GET", "/a/b.git/info/refs?service=git-upload-pack", token=token)[0] == 401


def test_which_hub(hub: RunningHub, ada: Person, tmp_path: Path) -> None:
    def run(*args: str, **variables: str) -> str:
        done = run_hub(ada, "stats", *args, **variables)
        assert done.returncode == (0 if done.stdout else 2 if "error: no hub" in done.stderr else done.returncode)
        return done.stdout + done.stderr

    assert "error: no hub was named\nhint: pass --data DIR or --hub URL\n" in run()
    assert "is not the data folder of a hub" in run("--data", str(tmp_path))
    assert "REPOSITORY" in run(CWT_HUB_DATA=str(hub.data))
    assert "REPOSITORY" in run(CWT_HUB_URL=hub.url, CWT_HUB_TOKEN=hub.token)
    assert "REPOSITORY" in run("--hub", hub.url, "--token", hub.token)
    assert "error: a token is needed" in run("--hub", hub.url)
    assert "admin-token" in run("--hub", hub.url, "--token", "wrong")
    assert "is no http or https URL" in run("--hub", "localhost", "--token", "x")
    assert "check the URL" in run("--hub", hub.url + "/nowhere", "--token", hub.token)
    assert "Get" in run("--hub", "http://127.0.0.1:9", "--token", "x")
    assert "error: cannot read" in run("--hub", hub.url, "--data", str(tmp_path))


@pytest.mark.parametrize(("text", "seconds"), [("90d", 90 * 86400), ("12h", 43200), ("5m", 300), ("2W", 14 * 86400)])
def test_spans(text: str, seconds: int) -> None:
    assert parse_expiry(text, 1000.0) == 1000 + seconds


def test_dates() -> None:
    assert format_moment(parse_expiry("2030-01-31", 0)) == "2030-01-31 00:00"
    assert format_moment(parse_expiry("2030-01-31T12:00+02:00", 0)) == "2030-01-31 10:00"
    for bad in ("", "d", "1y", "-1d", "1969-01-01", "0d", "9999999d", "tomorrow"):
        with pytest.raises(UsageError):
            parse_expiry(bad, 0.0)


def test_tables_align() -> None:
    assert (
        format_table(("A", "NUMBER"), [("long name", "5"), ("x", "")], right=(1,))
        == "A          NUMBER\nlong name       5\nx\n"
    )
