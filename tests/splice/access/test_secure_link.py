"""nginx's secure_link: its own example, its variables, and that no argument says another stream than is served."""

import base64
import hashlib

import pytest

from splice.access import AccessRefusedError, PlayRequest, SecureLink

NOW = 1_800_000_000
EXPIRES = NOW + 60
EXPRESSION = "$secure_link_expires$uri$remote_addr secret"


def md5(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.md5(text.encode()).digest()).decode().rstrip("=")


def request(arguments: str, *, path: str = "/live", src: str | None = None, address: str = "127.0.0.1") -> PlayRequest:
    return PlayRequest(
        client_id="v1", address=address, path=path, src=src, app="myapp", stream="test", arguments=arguments
    )


def link(signed: str, expires: int = EXPIRES) -> str:
    return f"md5={md5(signed)}&expires={expires}"


def refusal(asked: PlayRequest, expression: str = EXPRESSION, *, now: float = NOW) -> AccessRefusedError:
    with pytest.raises(AccessRefusedError) as caught:
        check(asked, expression, now=now)
    assert "secret" not in str(caught.value)
    assert caught.value.detail[:1].islower()  # the doors give a sentence its capital
    return caught.value


def check(asked: PlayRequest, expression: str = EXPRESSION, *, now: float = NOW) -> None:
    SecureLink(expression, clock=lambda: now).check(asked)


def test_the_example_of_nginx_s_documentation_passes() -> None:
    # https://nginx.org/en/docs/http/ngx_http_secure_link_module.html: /s/link for 127.0.0.1
    check(request("md5=_e4Nc3iduzkWRm01TBBNYw&expires=2147483647", path="/s/link"))


@pytest.mark.parametrize(
    ("expression", "asked", "signed"),
    [
        (EXPRESSION, request("", path="/a%62c"), f"{EXPIRES}/abc127.0.0.1 secret"),
        (EXPRESSION, request("", address="::ffff:192.0.2.7"), f"{EXPIRES}/live192.0.2.7 secret"),
        ("${secure_link_expires}x${uri}", request(""), f"{EXPIRES}x/live"),
        ("$arg_expires$arg_app/$arg_stream", request("app=myapp&stream=test"), f"{EXPIRES}myapp/test"),
        ("$arg_expires$arg_src.", request("src=a", src="a"), f"{EXPIRES}a."),
        ("$arg_expires $arg_user $arg_none", request("user=%C3%A9"), f"{EXPIRES} %C3%A9 "),
        ("$arg_expires $arg_USER", request("user=x"), f"{EXPIRES} x"),
        ("$arg_expires $arg_user", request("user=\udcff", path="rtmp"), f"{EXPIRES} ?"),  # a byte that is not UTF-8
        ("$arg_expires$arg_src.", request(""), f"{EXPIRES}."),
        ("$arg_expires $uri", request("", path="rtmp"), f"{EXPIRES} /myapp/test"),
        ("$arg_expires $uri$arg_src", request("src=a", path="rtmp", src="a"), f"{EXPIRES} /myapp/testa"),
    ],
)
def test_variables_are_nginx_s(expression: str, asked: PlayRequest, signed: str) -> None:
    whole = "&".join(filter(None, (asked.arguments, link(signed))))
    check(request(whole, path=asked.path, src=asked.src, address=asked.address), expression)
    assert (
        refusal(request(whole, path=asked.path, src=asked.src, address=asked.address), expression + "!").status == 401
    )


def test_a_digest_with_anything_beside_its_characters_is_none() -> None:
    digest = md5(f"{EXPIRES}/live127.0.0.1 secret")
    for given in (f"{digest[:9]} {digest[9:]}", f"{digest}!", f"\u00e9{digest}"):
        assert refusal(request(f"md5={given}&expires={EXPIRES}")).status == 401


def test_padding_is_taken_as_nginx_takes_it() -> None:
    check(request(f"md5={md5(f'{EXPIRES}/live127.0.0.1 secret')}==&expires={EXPIRES}"))


def test_a_link_is_good_up_to_its_last_second_and_then_says_so() -> None:
    asked = request(link(f"{EXPIRES}/live127.0.0.1 secret"))
    check(asked, now=EXPIRES)
    error = refusal(asked, now=EXPIRES + 5)
    assert (error.status, "until 5 seconds ago" in error.detail) == (401, True)
    assert refusal(asked, now=EXPIRES + 0.5).status == 401


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ("", 401, "to secured links alone"),
        (f"expires={EXPIRES}", 401, "to secured links alone"),
        (f"md5=AAAAAAAAAAAAAAAAAAAAAA&expires={EXPIRES}", 401, "the md5 was made for another link"),
        (f"md5=&expires={EXPIRES}", 401, "the md5 was made for another link"),
        (f"md5=%%%&expires={EXPIRES}", 401, "the md5 was made for another link"),
        (f"md5=\ud800&expires={EXPIRES}", 401, "the md5 was made for another link"),
        ("md5=AAAAAAAAAAAAAAAAAAAAAA", 400, "has expires, the seconds since 1970"),
        ("md5=AAAAAAAAAAAAAAAAAAAAAA&expires=", 400, "has expires, the seconds since 1970"),
        ("md5=AAAAAAAAAAAAAAAAAAAAAA&expires=-1", 400, "has expires, the seconds since 1970"),
        ("md5=AAAAAAAAAAAAAAAAAAAAAA&expires=" + "9" * 13, 400, "has expires, the seconds since 1970"),
        (f"md5=AAAAAAAAAAAAAAAAAAAAAA&md5=A&expires={EXPIRES}", 400, "md5 is given twice"),
        (f"md5=AAAAAAAAAAAAAAAAAAAAAA&expires=1&%65xpires={EXPIRES}", 400, "expires is given twice"),
        (f"MD5=AAAAAAAAAAAAAAAAAAAAAA&expires={EXPIRES}", 400, "write the parameter's name as md5"),
    ],
)
def test_what_is_missing_doubled_or_wrong_is_refused(arguments: str, status: int, says: str) -> None:
    error = refusal(request(arguments))
    assert (error.status, says in error.detail) == (status, True)


def test_an_argument_of_the_expression_that_stands_twice_is_refused() -> None:
    arguments = f"user=a&user=b&{link(f'{EXPIRES}a')}"
    assert refusal(request(arguments), "$arg_expires$arg_user").status == 400


def test_arguments_beside_a_path_do_not_say_which_stream_is_meant() -> None:
    expression = "$arg_expires$arg_app/$arg_stream secret"
    other = f"app=free&stream=trailer&{link(f'{EXPIRES}free/trailer secret')}"
    assert refusal(request(other, path="/myapp/test.flv"), expression).status == 401
    own = link(f"{EXPIRES}myapp/test secret")
    check(request(own, path="/myapp/test.flv"), expression)


def test_an_argument_beside_a_path_names_no_origin_either() -> None:
    expression = "$arg_expires$arg_src/$arg_stream secret"
    other = f"src=b&{link(f'{EXPIRES}b/test secret')}"
    assert refusal(request(other, path="/myapp/test.flv"), expression).status == 401
    own = f"src=b&{link(f'{EXPIRES}/test secret')}"
    check(request(own, path="/myapp/test.flv"), expression)


def test_an_rtmp_player_cannot_turn_a_link_to_another_origin() -> None:
    signed = link(f"{EXPIRES}/myapp/test127.0.0.1 secret")
    check(request(signed, path="rtmp"))
    error = refusal(request(f"src=b&{signed}", path="rtmp", src="b"))
    assert (error.status, "ask for the stream without it" in error.detail) == (401, True)
