"""What an nginx.conf becomes: each directive its key, its silence, or its comment."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from splice.config import Settings
from splice.tools.nginx_import import imported, main
from splice.tools.nginx_import.http import HTTP_DIRECTIVES
from splice.tools.nginx_import.reader import ImportFileError
from splice.tools.nginx_import.reasons import HERE_ANYWAY, NOT_HERE, NOT_HERE_BY_PREFIX
from splice.tools.nginx_import.rtmp import RTMP_DIRECTIVES
from splice.tools.nginx_import.units import seconds

EVERYONE = ["0.0.0.0/0", "::/0"]
MIGRATION = Path(__file__).parents[4] / "docs" / "migration.md"


@pytest.fixture
def carry(tmp_path: Path) -> Any:
    """Imports a configuration: its keys, and its comments. Whatever comes out must be one that the door takes."""

    def carry(text: str) -> tuple[dict[str, Any], list[str]]:
        file = tmp_path / "nginx.conf"
        file.write_text(text)
        toml = imported(file)
        keys = tomllib.loads(toml)
        Settings.model_validate(keys)
        return keys, [line.removeprefix("# - ") for line in toml.splitlines() if line.startswith("# - ")]

    return carry


def in_application(directives: str) -> str:
    return f"rtmp {{ server {{ listen 1935; application myapp {{ live on; {directives} }} }} }}"


def in_location(directives: str) -> str:
    return f"http {{ server {{ listen 8080; location /myapp {{ flv_live on; {directives} }} }} }}"


def test_the_proxy_of_scheme_two_is_carried_over_whole(carry: Any) -> None:
    keys, notes = carry(
        """
        rtmp { server { listen 1935; chunk_size 4096; application live { live on; record off; } } }
        http { server { listen 8080; location /myapp { flv_live on; add_header Cache-Control no-cache; } } }
        """
    )
    assert keys == {
        "rtmp_listen": ["1935"],
        "listen": ["8080"],
        "live_path": ["/live", "/myapp"],
        "publish": {"allow": EVERYONE},
    }
    assert notes == []


def test_an_origin_that_pushes_is_carried_over_whole(carry: Any) -> None:
    keys, notes = carry(
        """
        rtmp { server { listen 1935; chunk_size 4096;
            application myapp { live on; record off;
                push rtmp://10.0.0.9/myapp;
        } } }
        """
    )
    assert keys == {
        "rtmp_listen": ["1935"],
        "forward": [{"streams": "myapp/*", "to": "rtmp://10.0.0.9/myapp"}],
        "publish": {"allow": EVERYONE},
    }
    assert notes == []


@pytest.mark.parametrize(
    ("push", "to"),
    [
        ("rtmp://b.example.org", "rtmp://b.example.org/{app}"),
        ("b.example.org:1936", "rtmp://b.example.org:1936/{app}"),
        ("rtmp://b.example.org/live2/KEY", "rtmp://b.example.org/live2/KEY"),
        ("rtmp://b.example.org/live2 name=KEY", "rtmp://b.example.org/live2/KEY"),
        ("rtmp://b.example.org app=other", "rtmp://b.example.org/other"),
    ],
)
def test_a_push_becomes_a_forward(carry: Any, push: str, to: str) -> None:
    keys, _ = carry(in_application(f"push {push};"))
    assert keys["forward"] == [{"streams": "myapp/*", "to": to}]


@pytest.mark.parametrize("push", ["rtmp://localhost/hls", "rtmp://127.0.0.1:1935/hls/x", "rtmp://[::1]"])
def test_a_push_to_nginx_itself_has_no_place(carry: Any, push: str) -> None:
    keys, (note,) = carry(in_application(f"push {push};"))
    assert "forward" not in keys
    assert "this door itself" in note


def test_a_push_to_a_later_server_of_nginx_is_one_to_itself(carry: Any) -> None:
    keys, (note,) = carry(
        "rtmp { server { listen 1935; application a { push rtmp://localhost:1936/b; } } "
        "server { listen 1936; application b { live on; } } }"
    )
    assert "forward" not in keys
    assert "this door itself" in note


@pytest.mark.parametrize("directive", ["push", "pull"])
def test_a_user_of_an_rtmp_url_has_no_place(carry: Any, directive: str) -> None:
    keys, (note,) = carry(in_application(f"{directive} rtmp://me:secret@h.example.org/x;"))
    assert "secret" not in str(keys)
    assert "without me and its password" in note


@pytest.mark.parametrize(
    ("pull", "origin"),
    [
        ("rtmp://b.example.org", {"urls": ["rtmp://b.example.org:1935"]}),
        ("rtmp://b.example.org:1936/myapp", {"urls": ["rtmp://b.example.org:1936"]}),
        ("rtmp://b.example.org/live", {"urls": ["rtmp://b.example.org:1935"], "target": "/live/{stream}"}),
    ],
)
def test_a_pull_becomes_the_default_origin(carry: Any, pull: str, origin: dict[str, Any]) -> None:
    keys, notes = carry(in_application(f"pull {pull};"))
    assert (keys["origins"], keys["default_origin"], notes) == ({"a": origin}, "a", [])


def test_of_two_pulls_the_second_one_is_an_origin_to_ask_for_by_name(carry: Any) -> None:
    keys, notes = carry(in_application("pull rtmp://one.example.org; pull rtmp://two.example.org;"))
    assert list(keys["origins"]) == ["a", "b"]
    assert (keys["default_origin"], len(notes)) == ("a", 1)
    assert "ask for this one by ?src=b" in notes[0]


def several(**directives: str) -> str:
    applications = "".join(f"application {name} {{ {text} }}" for name, text in directives.items())
    return f"rtmp {{ server {{ listen 1935; {applications} }} }}"


def test_a_pull_of_one_application_among_several_is_said_to_answer_for_all(carry: Any) -> None:
    keys, notes = carry(several(cams="pull rtmp://b.example.org;", shows="live on;", news="live on;"))
    assert keys["default_origin"] == "a"
    assert notes == [
        "nginx.conf:1: pull rtmp://b.example.org: default_origin answers for every application here, so for shows, "
        "news too; if it has to be for one alone, take default_origin out and ask by ?src=a"
    ]
    _, (note,) = carry(
        several(cams="pull rtmp://b.example.org;", a="", b="", c="", d="pull rtmp://b.example.org;", e="")
    )
    assert "so for a, b, c and others too" in note


def test_where_all_applications_pull_from_one_server_nothing_is_to_be_said(carry: Any) -> None:
    keys, notes = carry(several(cams="pull rtmp://b.example.org;", shows="pull rtmp://b.example.org;"))
    assert (keys["default_origin"], notes) == ("a", [])
    outside = "rtmp { server { listen 1935; pull rtmp://b.example.org/live; application cams { live on; } } }"
    assert carry(outside)[1] == []


def test_a_pull_of_one_stream_is_never_shown_in_the_place_of_another(carry: Any) -> None:
    keys, notes = carry(in_application("pull rtmp://b.example.org/cam/front name=door static;"))
    assert keys["origins"] == {
        "a": {"urls": ["rtmp://b.example.org:1935"], "target": "/cam/front", "keep": ["myapp/door"]}
    }
    assert "default_origin" not in keys
    assert notes == []


def test_a_pull_of_one_stream_on_demand_is_asked_for_by_name(carry: Any) -> None:
    keys, (note,) = carry(in_application("pull rtmp://b.example.org/cam/front name=door;"))
    assert "default_origin" not in keys
    assert "?src=a" in note


def test_callbacks_are_the_applications_own_or_everyones(carry: Any) -> None:
    keys, notes = carry(
        "rtmp { on_play http://10.0.0.2/play; server { listen 1935; application myapp { on_publish 10.0.0.2/publish; "
        "on_done http://10.0.0.2/done; on_update http://10.0.0.2/update; notify_update_timeout 10s; } } }"
    )
    assert keys["hooks"] == {"on_play": "http://10.0.0.2/play"}
    assert keys["apps"]["myapp"]["hooks"] == {
        "on_publish": "http://10.0.0.2/publish",
        "on_publish_done": "http://10.0.0.2/done",
        "on_play_done": "http://10.0.0.2/done",
        "on_update": "http://10.0.0.2/update",
        "update_s": 10.0,
    }
    assert notes == []


def test_rules_of_an_application_are_its_own_and_others_stay_shut(carry: Any) -> None:
    keys, _ = carry(
        "rtmp { server { application a { allow publish 10.0.0.0/8; deny publish all; deny play 10.6.6.6; } "
        "application b { live on; } } }"
    )
    assert "publish" not in keys  # and so it is the door's own machine that may publish elsewhere
    assert keys["apps"]["a"]["publish"] == {"allow": ["10.0.0.0/8"]}
    assert keys["apps"]["a"]["play"] == {"deny": ["10.6.6.6/32"]}
    assert keys["apps"]["b"]["publish"] == {"allow": EVERYONE}


def test_rules_around_the_applications_come_behind_their_own(carry: Any) -> None:
    keys, _ = carry(
        "rtmp { server { deny publish all; deny play all; application a { allow publish 10.0.0.0/8; allow play all; } "
        "application b { live on; } } }"
    )
    assert keys["publish"] == {"allow": []}
    assert keys["play"] == {"deny": EVERYONE}
    assert keys["apps"] == {"a": {"publish": {"allow": ["10.0.0.0/8"]}}}


def test_who_may_watch_everything_watches_though_others_may_not(carry: Any) -> None:
    keys, _ = carry("rtmp { server { application a { allow play 10.0.0.0/8; deny play all; } } }")
    assert keys["apps"]["a"]["play"] == {"allow": ["10.0.0.0/8"]}


def test_a_rule_that_cannot_be_read_lets_nobody_in(carry: Any) -> None:
    keys, notes = carry(in_application("deny publish nonsense;"))
    assert keys["apps"]["myapp"]["publish"] == {"allow": [], "deny": EVERYONE}
    assert "nobody is let in there until you say who" in notes[0]


@pytest.mark.parametrize(
    ("directive", "key", "value"),
    [
        ("drop_idle_publisher 10s;", "timeouts.publish_idle_s", 10.0),
        ("timeout 1m;", "timeouts.stall_s", 60.0),
        ("send_timeout 1m 30s;", "timeouts.stall_s", 90.0),
        ("gop_cache off;", "apps.myapp.hub.gop_cache_s", 0.0),
        ("max_connections 100;", "apps.myapp.limits.viewers", 100),
        ("netcall_timeout 500ms;", "apps.myapp.hooks.timeout_s", 0.5),
    ],
)
def test_a_directive_has_its_key(carry: Any, directive: str, key: str, value: object) -> None:
    keys, notes = carry(in_application(directive))
    found: Any = keys
    for each in key.split("."):
        found = found[each]
    assert found == value
    assert notes == []


@pytest.mark.parametrize("directive", ["timeout soon;", "max_connections many;", "push;", "gop_cache;"])
def test_a_value_that_cannot_be_read_is_said(carry: Any, directive: str) -> None:
    _, (note,) = carry(in_application(directive))
    assert note.startswith(f"nginx.conf:1: {directive[:-1]}")
    assert note.endswith("its value cannot be read")


@pytest.mark.parametrize(
    "directive", ["wait_key on;", "interleave on;", "chunk_size 128;", "gop_cache on;", "meta copy;"]
)
def test_what_is_so_here_anyway_needs_no_words(carry: Any, directive: str) -> None:
    keys, notes = carry(in_application(directive))
    assert keys == {"rtmp_listen": ["1935"], "publish": {"allow": EVERYONE}}
    assert notes == []


@pytest.mark.parametrize(
    ("directive", "why"),
    [
        ("hls on;", "let ffmpeg"),
        ("hls_path /tmp/hls;", "let ffmpeg"),
        ("record all;", "record with a player"),
        ("exec_push ffmpeg -i x;", "hooks tell a program"),
        ("meta off;", "there is no such thing here"),
        ("ping 30s;", "needs no pings"),
        ("recorder all { record all; }", "record with a player"),
        ("some_module on;", "there is no such thing here"),
    ],
)
def test_what_is_not_here_is_said_with_its_place(carry: Any, directive: str, why: str) -> None:
    _, (note,) = carry(in_application(directive))
    assert note.startswith("nginx.conf:1: ")
    assert why in note


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("1935", "1935"),
        ("*:1935", "1935"),
        ("0.0.0.0:1935", "1935"),
        ("[::]:1935", "1935"),
        ("127.0.0.1:1", "127.0.0.1:1"),
    ],
)
def test_a_listener_without_a_host_is_every_address(carry: Any, listen: str, address: str) -> None:
    assert carry(f"rtmp {{ server {{ listen {listen}; }} }}")[0]["rtmp_listen"] == [address]


def test_listeners_may_share_a_port_or_take_a_proxys_word(carry: Any) -> None:
    keys, (note,) = carry("rtmp { server { listen 1935 proxy_protocol reuseport; } }")
    assert (keys["proxy_protocol"], keys["reuse_port"]) == (["rtmp"], True)
    assert keys["trusted_proxies"] == ["127.0.0.0/8", "::1/128"]
    assert "trusted_proxies" in note


def test_proxies_that_are_believed_stay_believed(carry: Any) -> None:
    keys, notes = carry(in_location("").replace("listen 8080;", "listen 8080; set_real_ip_from 10.0.0.0/8;"))
    assert keys["trusted_proxies"] == ["10.0.0.0/8"]
    assert notes == []


@pytest.mark.parametrize("where", ["rtmp { server { listen unix:/x; listen 1935; } }", in_location("")])
def test_a_socket_in_the_file_system_is_left_out(carry: Any, where: str) -> None:
    keys, notes = carry(where.replace("listen 8080;", "listen unix:/x; listen 8080;"))
    assert ["the door listens on TCP ports" in note for note in notes] == [True]
    assert keys


def test_an_application_with_a_slash_is_left_out(carry: Any) -> None:
    keys, (note,) = carry("rtmp { server { listen 1935; application a/b { live on; } } }")
    assert "apps" not in keys
    assert "letters, digits" in note


def test_https_is_carried_over_with_its_certificate(carry: Any, tmp_path: Path) -> None:
    text = in_location("").replace("listen 8080;", "listen 8443 ssl; ssl_certificate c.pem; ssl_certificate_key k.pem;")
    (tmp_path / "nginx.conf").write_text(text)
    keys = tomllib.loads(imported(tmp_path / "nginx.conf"))
    assert keys["tls"] == {"listen": ["8443"], "cert": "c.pem", "key": "k.pem"}


def test_a_location_that_serves_streams_is_a_live_path(carry: Any) -> None:
    keys, notes = carry(in_location("").replace("/myapp", "= /flv/"))
    assert keys["live_path"] == ["/live", "/flv"]
    assert notes == []


@pytest.mark.parametrize("path", ["~ ^/live/.*", "/"])
def test_a_location_of_many_paths_is_none(carry: Any, path: str) -> None:
    keys, (note,) = carry(in_location("").replace("/myapp", path))
    assert "live_path" not in keys
    assert "/APP/STREAM.flv" in note


def test_fields_that_are_added_are_the_doors_own_or_said(carry: Any) -> None:
    keys, notes = carry(
        in_location(
            "add_header 'Access-Control-Allow-Origin' 'https://a.example.org'; add_header X-Mine 1; "
            "add_header 'Access-Control-Allow-Credentials' 'true'; add_header Access-Control-Allow-Origin $http_origin;"
        )
    )
    assert keys["cors_origins"] == ["https://a.example.org"]
    assert [note.split(": ")[-1] for note in notes] == [
        "the door adds no fields of yours",
        "the door takes no cookies; browsers refuse this together with *",
        "list the pages' origins in cors_origins",
    ]


def test_old_players_keep_bodies_without_chunks(carry: Any) -> None:
    keys, notes = carry(in_application("") + in_location("chunked_transfer_encoding off;"))
    assert keys["apps"] == {"myapp": {"chunked": False}}
    assert notes == []
    _, (note,) = carry(in_location("chunked_transfer_encoding off;"))
    assert "[apps.NAME]" in note


def test_secured_links_go_on_as_they_are(carry: Any) -> None:
    keys, notes = carry(
        in_location('secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$arg_stream secret";')
    )
    assert keys["play"] == {"secure_link": "$secure_link_expires$arg_stream secret"}
    assert notes == []
    _, (note,) = carry(in_location("secure_link $arg_st,$arg_e;"))
    assert "?md5=" in note


def test_who_may_use_a_location_may_watch(carry: Any) -> None:
    keys, _ = carry(in_location("allow 10.0.0.0/8; deny all;"))
    assert keys["play"] == {"allow": ["10.0.0.0/8"]}


def test_a_proxy_without_a_buffer_is_scheme_one(carry: Any) -> None:
    keys, notes = carry(
        "http { upstream media { server 10.0.0.8:8080; server 10.0.0.9:8080 backup; } server { listen 18090; "
        "proxy_buffering off; location /live { proxy_pass http://media; add_header Cache-Control no-cache; } "
        "location / { proxy_pass http://x; proxy_buffering on; } } }"
    )
    assert keys == {
        "listen": ["18090"],
        "origins": {"a": {"urls": ["http://10.0.0.8:8080", "http://10.0.0.9:8080"]}},
        "default_origin": "a",
        "live_path": ["/live"],
    }
    assert notes == []


def test_a_proxy_that_chooses_by_a_variable_is_said(carry: Any) -> None:
    _, (note,) = carry(
        "rtmp { server { listen 1935; } } http { server { location /live { proxy_buffering off; "
        "proxy_pass http://$arg_src:8080; } } }"
    )
    assert "?src=NAME" in note


def test_a_proxy_for_one_host_keeps_its_port(carry: Any) -> None:
    text = "http { server { listen 18090; location /live { proxy_buffering off; proxy_pass http://%s; } } }"
    assert carry(text % "10.0.0.8")[0]["origins"] == {"a": {"urls": ["http://10.0.0.8"]}}
    assert carry(text % "10.0.0.8:8080/live")[0]["origins"] == {"a": {"urls": ["http://10.0.0.8:8080"]}}


def test_of_an_upstream_those_that_listen_on_tcp_are_dialled(carry: Any) -> None:
    text = (
        "http { upstream media { server unix:/x; %s } server { listen 18090; "
        "location /live { proxy_buffering off; proxy_pass http://media; } } }"
    )
    keys, (note,) = carry(text % "server 10.0.0.8:8080;")
    assert keys["origins"] == {"a": {"urls": ["http://10.0.0.8:8080"]}}
    assert note.endswith("server unix:/x: the door dials TCP ports")
    keys, notes = carry(text % "")
    assert "origins" not in keys
    assert "names no server that the door can dial" in notes[1]


def test_the_path_of_a_second_proxy_does_not_lead_to_the_first_ones_origin(carry: Any) -> None:
    keys, (note,) = carry(
        "http { server { listen 18090; proxy_buffering off; location /live { proxy_pass http://10.0.0.8; } "
        "location /api { proxy_pass http://10.0.0.9; } } }"
    )
    assert (keys["default_origin"], keys["live_path"]) == ("a", ["/live"])
    assert keys["origins"]["b"] == {"urls": ["http://10.0.0.9"]}
    assert "/live?src=b" in note


def test_what_all_servers_share_is_theirs(carry: Any, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(
        "http { proxy_buffering off; ssl_certificate c.pem; ssl_certificate_key k.pem; "
        "server { listen 8443 ssl; ssl_certificate own.pem; location /live { proxy_pass http://10.0.0.8; } } }"
    )
    keys = tomllib.loads(imported(tmp_path / "nginx.conf"))
    assert keys["tls"] == {"listen": ["8443"], "cert": "own.pem", "key": "k.pem"}
    assert keys["default_origin"] == "a"


def test_statistics_move_to_the_admin_side(carry: Any) -> None:
    keys, notes = carry("http { server { location /stat { rtmp_stat all; } } } " + in_application(""))
    assert keys["admin_listen"] == "18091"
    assert "/stat on the admin side" in notes[0]


def test_files_that_are_included_are_read(carry: Any, tmp_path: Path) -> None:
    (tmp_path / "apps.conf").write_text("application other { drop_idle_publisher 5s; hls on; }")
    keys, notes = carry("rtmp { server { listen 1935; include apps.conf; include gone.conf; } }")
    assert keys["timeouts"] == {"publish_idle_s": 5.0}
    assert "gone.conf" in notes[0]
    assert notes[1].startswith("apps.conf:1: hls on: ")


def test_a_file_that_includes_itself_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("include nginx.conf;")
    with pytest.raises(ImportFileError, match="a file includes itself"):
        imported(tmp_path / "nginx.conf")


def test_an_included_file_that_is_no_configuration_is_named(tmp_path: Path) -> None:
    (tmp_path / "hostname").write_text("example\n")
    (tmp_path / "nginx.conf").write_text("include hostname; rtmp { }")
    with pytest.raises(ImportFileError, match="hostname cannot be imported: it is not in the syntax of nginx"):
        imported(tmp_path / "nginx.conf")


def test_more_origins_than_letters_have_names_too(carry: Any) -> None:
    pulls = "".join(f"pull rtmp://h{number}.example.org;" for number in range(28))
    keys, _ = carry(in_application(pulls))
    assert list(keys["origins"])[25:] == ["z", "origin27", "origin28"]


def test_comments_hold_no_control_characters(carry: Any) -> None:
    _, (note,) = carry(in_application('exec "x\ny";'))
    assert r"x\ny" in note


def test_a_files_name_holds_no_keys(tmp_path: Path) -> None:
    (tmp_path / 'x\nlisten = ["1"]\n#\udc80').write_text(in_application(""))
    toml = imported(tmp_path / 'x\nlisten = ["1"]\n#\udc80')
    assert "listen" not in tomllib.loads(toml)
    assert toml.startswith(r'# What x\nlisten = ["1"]\n#\udc80 says, ')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("rtmp { server {", "unexpected end of file"),
        ("events {}", "has no rtmp block"),
        ("http { server { location / { root html; } } }", "has no rtmp block"),
    ],
)
def test_a_file_that_gives_nothing_is_an_error(carry: Any, text: str, problem: str) -> None:
    with pytest.raises(ImportFileError, match=problem):
        carry(text)


def test_the_command_prints_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nginx.conf").write_text(in_application(""))
    assert main([str(tmp_path / "nginx.conf")]) == 0
    assert tomllib.loads(capsys.readouterr().out)["rtmp_listen"] == ["1935"]


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "gone.conf")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("splice import: ")
    assert error.count("\n") == 1
    assert error.endswith("gone.conf cannot be imported: no such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "the following arguments are required: nginx.conf; see splice import --help"),
        (["--out", "x"], "there is no --out; see splice import --help"),
        (["a.conf", "b.conf"], "'b.conf' is an argument too many; see splice import --help"),
    ],
)
def test_a_usage_error_is_one_line(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert capsys.readouterr().err == f"splice import: {says}\n"


@pytest.mark.parametrize(("text", "length"), [("10", 10), ("10s", 10), ("1m 30s", 90), ("500ms", 0.5), ("1h", 3600)])
def test_times_are_read_as_nginx_reads_them(text: str, length: float) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "s", "10x", "ten"])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="no time"):
        seconds(text)


def test_the_guide_names_every_directive_that_is_known() -> None:
    named = set(re.findall(r"`([a-z_0-9]+\*?)`", MIGRATION.read_text()))
    known = {*RTMP_DIRECTIVES, *HTTP_DIRECTIVES, *HERE_ANYWAY, *NOT_HERE, *(f"{each}*" for each in NOT_HERE_BY_PREFIX)}
    assert known - named == set()


def test_every_key_that_the_table_of_directives_names_is_one() -> None:
    tables: dict[str, set[str]] = {}
    section = ""
    for line in (MIGRATION.parent / "configuration.md").read_text().splitlines():
        if heading := re.fullmatch(r"## `\[+([A-Za-z_.]+)\]+`", line):
            section = heading[1]
        elif line.startswith("## "):
            section = ""
        elif key := re.match(r"\| `([a-z_0-9]+)` \|", line):
            tables.setdefault(section, set()).add(key[1])
    known = {f"{section}.{key}" for section, keys in tables.items() for key in keys} | {"play.sign_keys"}
    for line in MIGRATION.read_text().splitlines():
        if not line.startswith("| "):
            continue
        for key in re.findall(r"`([a-z][a-z_0-9]*(?:\.[A-Za-z_0-9]+)+)(?: = [^`]*)?`", line.split(" | ")[-1]):
            assert key in known, line
