"""Who is let in: the address, the names, the sites, the token, the cookie; and what guessing is worth."""

from ipaddress import ip_network

import pytest
import structlog
import trio
import trio.testing

from splice.admin.auth import SESSION_COOKIE, SESSION_S, AccessRules, Caller, Guard, RefusedError
from splice.proxies import TrustedProxies
from tests.splice.admin.admin_house import TOKEN, AdminHouse

OURS = "10.0.0.5"
STRANGER = "192.0.2.7"


def caller(*fields: tuple[str, str], peer: str = STRANGER, host: str = OURS) -> Caller:
    lines = [(name.encode(), value.encode()) for name, value in (("host", host), *fields)]
    return Caller(peer=peer, called=OURS, fields=lines)


def guard(token: str = TOKEN, hosts: tuple[str, ...] = (), proxies: tuple[str, ...] = ()) -> Guard:
    return Guard(AccessRules(token, hosts, TrustedProxies(tuple(map(ip_network, proxies)))))


async def refusal(guard: Guard, caller: Caller) -> RefusedError | None:
    try:
        guard.check_site(caller)
        await guard.check_caller(caller)
    except RefusedError as refused:
        return refused
    return None


async def status(guard: Guard, caller: Caller) -> int | None:
    refused = await refusal(guard, caller)
    return refused and refused.status


# --- loopback ---


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1"])
@pytest.mark.parametrize("host", ["localhost", "LocalHost:18091", "127.0.0.1:18091", "[::1]:18091", "[::1]"])
async def test_this_machine_itself_needs_no_token(peer: str, host: str) -> None:
    assert await status(guard(), caller(peer=peer, host=host)) is None
    assert await status(guard(token=""), caller(peer=peer, host=host)) is None


@pytest.mark.parametrize(
    "field", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP", "X-Forwarded-Host", "X-Forwarded-Proto"]
)
async def test_what_a_proxy_on_this_machine_brings_needs_a_token(field: str) -> None:
    assert await status(guard(), caller((field, "127.0.0.1"), peer="127.0.0.1", host="localhost")) == 401


async def test_loopback_under_another_name_needs_a_token() -> None:
    named = guard(hosts=("splice.example.org",))
    assert await status(named, caller(peer="127.0.0.1", host="splice.example.org")) == 401


async def test_a_stranger_who_names_loopback_needs_a_token() -> None:
    assert await status(guard(), caller(host="localhost")) == 401


async def test_without_a_token_strangers_stay_out_and_are_told_why() -> None:
    for fields in ([], [("authorization", "Bearer ")], [("authorization", "Bearer x")]):
        refused = await refusal(guard(token=""), caller(*fields))
        assert refused is not None
        assert (refused.status, refused.attempts) == (401, 0)
        assert "[admin] token" in refused.detail


# --- names and sites ---


@pytest.mark.parametrize("host", [OURS, f"{OURS}:18091", "Splice.Example.org", "splice.example.org.:80"])
async def test_the_address_that_was_called_and_the_allowed_names_are_answered(host: str) -> None:
    named = guard(hosts=("splice.example.org",))
    assert await status(named, caller(("authorization", f"Bearer {TOKEN}"), host=host)) is None


@pytest.mark.parametrize(
    "host",
    ["", ":", "evil.example", "10.0.0.6", "localhost.evil.example", "evil.example:localhost", "[::1", "::1", "a:b:c",
     "127.0.0.1.evil.example", "localhost@evil.example", "localhost:x", "127.0.0.1, evil.example"],
)  # fmt: skip
async def test_another_host_is_misdirected_also_with_the_token_and_from_loopback(host: str) -> None:
    for peer in (STRANGER, "127.0.0.1"):
        assert await status(guard(), caller(("authorization", f"Bearer {TOKEN}"), peer=peer, host=host)) == 421


async def test_two_hosts_are_none() -> None:
    assert await status(guard(), caller(("host", "localhost"), peer="127.0.0.1", host="localhost")) == 421


@pytest.mark.parametrize("origin", ["http://localhost:18091", "https://localhost:18091", "HTTP://LOCALHOST:18091"])
async def test_our_own_page_may_call(origin: str) -> None:
    assert await status(guard(), caller(("origin", origin), peer="127.0.0.1", host="localhost:18091")) is None


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost", "http://localhost:18090", "http://localhost:18091.evil.example",
     "file://", "", "http://localhost:18091/"],
)  # fmt: skip
async def test_a_page_of_another_site_may_not_also_with_the_token(origin: str) -> None:
    fields = ("origin", origin), ("authorization", f"Bearer {TOKEN}")
    assert await status(guard(), caller(*fields, peer="127.0.0.1", host="localhost:18091")) == 403


# --- the token, the cookie ---


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_token_lets_in(scheme: str) -> None:
    assert await status(guard(), caller(("Authorization", f"{scheme} {TOKEN}"))) is None


@pytest.mark.parametrize("value", ["", "Bearer", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"])
async def test_anything_else_does_not(value: str) -> None:
    assert await status(guard(), caller(("authorization", value))) == 401


async def test_two_tokens_are_none() -> None:
    field = ("authorization", f"Bearer {TOKEN}")
    assert await status(guard(), caller(field, field)) == 401


def with_cookie(value: str) -> Caller:
    return caller(("cookie", f"theme=dark; {SESSION_COOKIE}={value}; x"))


async def test_a_session_lets_in_until_its_time_is_over(autojump_clock: trio.testing.MockClock) -> None:
    door = guard()
    cookie = door.new_session()
    assert TOKEN not in cookie
    await trio.sleep(SESSION_S - 10)
    assert await status(door, with_cookie(cookie)) is None
    await trio.sleep(20)
    assert await status(door, with_cookie(cookie)) == 401


async def test_a_session_ends_with_its_token_and_with_its_door() -> None:
    door = guard()
    cookie = door.new_session()
    assert await status(guard(), with_cookie(cookie)) == 401
    door.rules = AccessRules("another-token", (), TrustedProxies(()))
    assert await status(door, with_cookie(cookie)) == 401


@pytest.mark.parametrize("damage", ["", ".", "x", "9" * 30 + ".00", "-1.00", "\xb2.00", "1e9.00"])
async def test_a_made_up_session_is_none(damage: str) -> None:
    assert await status(guard(), with_cookie(damage)) == 401


async def test_a_session_cannot_be_prolonged() -> None:
    door = guard()
    ends_at, _, signature = door.new_session().partition(".")
    assert await status(door, with_cookie(f"{int(ends_at) + 1}.{signature}")) == 401


# --- guessing ---


def guess(number: int, peer: str = STRANGER) -> Caller:
    return caller(("authorization", f"Bearer {number}"), peer=peer)


async def test_wrong_tokens_are_answered_slower_and_slower(autojump_clock: trio.testing.MockClock) -> None:
    door = guard()
    pauses_s = []
    for number in range(7):
        before = trio.current_time()
        refused = await refusal(door, guess(number))
        assert refused is not None
        assert (refused.status, refused.attempts) == (401, number + 1)
        pauses_s.append(trio.current_time() - before)
    assert pauses_s == pytest.approx([0, 0.25, 0.5, 1, 2, 4, 5])


async def test_many_connections_do_not_guess_faster(autojump_clock: trio.testing.MockClock) -> None:
    door = guard()
    looked_at = []
    turned_away = 0

    async def connection(number: int) -> None:
        nonlocal turned_away
        refused = await refusal(door, guess(number))
        if refused is not None and refused.status == 429:
            turned_away += 1
            assert int(refused.fields["Retry-After"]) > 0
        else:
            looked_at.append(number)

    async with trio.open_nursery() as nursery:
        for _ in range(60):  # a minute of 1,000 guesses a second, in tenths of it
            for number in range(100):
                nursery.start_soon(connection, number)
            await trio.sleep(1)
    assert len(looked_at) < 25
    assert turned_away > 5900


async def test_giving_up_early_does_not_help(autojump_clock: trio.testing.MockClock) -> None:
    door = guard()
    for number in range(5):
        await refusal(door, guess(number))
    answered = 0
    for number in range(100):
        with trio.move_on_after(0.05):
            await refusal(door, guess(number))
            answered += 1
    assert answered > 90  # with 429 at once
    with trio.move_on_after(1):
        assert await status(door, caller(("authorization", f"Bearer {TOKEN}"))) == 429


async def test_guessing_slows_nobody_else(autojump_clock: trio.testing.MockClock) -> None:
    door = guard()
    for number in range(5):
        await refusal(door, guess(number, "2001:db8::1"))
    right = ("authorization", f"Bearer {TOKEN}")
    before = trio.current_time()
    assert await status(door, caller(right, peer="2001:db8:0:1::1")) is None
    assert await status(door, caller(right, peer="192.0.2.8")) is None
    assert trio.current_time() == before
    assert await status(door, caller(right, peer="2001:db8::2")) is None
    assert trio.current_time() - before == pytest.approx(4)


async def test_guesses_count_for_the_client_behind_a_trusted_proxy(autojump_clock: trio.testing.MockClock) -> None:
    door = guard(proxies=("10.0.0.0/8",))

    def behind(client: str, token: str) -> Caller:
        return caller(("x-forwarded-for", client), ("authorization", f"Bearer {token}"), peer="10.0.0.1")

    for number in range(5):
        await refusal(door, behind("198.51.100.1", str(number)))
    before = trio.current_time()
    assert await status(door, behind("198.51.100.2", TOKEN)) is None
    assert trio.current_time() == before


async def test_a_trusted_proxy_that_names_no_address_is_told_so_and_guesses_for_nobody() -> None:
    door = guard(proxies=("10.0.0.0/8",))
    for token in (TOKEN, "wrong"):
        fields = ("x-forwarded-for", "unknown"), ("authorization", f"Bearer {token}")
        assert await status(door, caller(*fields, peer="10.0.0.1")) == 400


async def test_the_right_token_forgets_the_wrong_ones(autojump_clock: trio.testing.MockClock) -> None:
    door = guard()
    for number in range(3):
        await refusal(door, guess(number))
    assert await status(door, caller(("authorization", f"Bearer {TOKEN}"))) is None
    refused = await refusal(door, guess(0))
    assert refused is not None
    assert refused.attempts == 1


async def test_guessers_are_forgotten_after_a_while_and_their_number_is_bounded(
    autojump_clock: trio.testing.MockClock,
) -> None:
    door = guard()
    for number in range(5000):
        await refusal(door, guess(number, f"198.{number // 65536}.{number // 256 % 256}.{number % 256}"))
    assert len(door._guesses._records) == 4096
    await refusal(door, guess(1))
    await refusal(door, guess(2))
    await trio.sleep(1000)
    refused = await refusal(door, guess(3))
    assert refused is not None
    assert refused.attempts == 1


# --- through the application ---


async def test_the_gate_refuses_with_problems_and_logs_wrong_tokens(house: AdminHouse) -> None:
    house.allow()
    async with house.client(peer=STRANGER) as stranger:
        with structlog.testing.capture_logs() as log:
            no_token = await stranger.get("/api/v1/viewers")
            wrong = await stranger.get("/api/v1/viewers", headers={"Authorization": "Bearer wrong"})
        for answer in (no_token, wrong):
            assert answer.status_code == 401
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["status"] == 401
        (event,) = log
        assert (event["event"], event["peer"], event["attempts"]) == ("admin.wrong_token", STRANGER, 1)
        assert "wrong" not in [*event.values()]
    async with house.client(peer=STRANGER, Authorization=f"Bearer {TOKEN}") as known:
        assert (await known.get("/api/v1/viewers")).status_code == 200


async def test_a_session_is_made_with_the_token_and_serves_in_its_place(house: AdminHouse) -> None:
    house.allow()
    async with house.client(peer=STRANGER) as client:
        assert (await client.post("/api/v1/session")).status_code == 401
        made = await client.post("/api/v1/session", headers={"Authorization": f"Bearer {TOKEN}"})
        assert (made.status_code, made.content) == (204, b"")
        cookie = made.headers["set-cookie"].lower()
        for attribute in ("httponly", "samesite=strict", "path=/", f"max-age={SESSION_S}"):
            assert attribute in cookie
        assert (await client.get("/api/v1/viewers")).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_is_for_everyone_by_any_name(path: str, house: AdminHouse) -> None:
    house.allow()
    async with house.client(host="10.1.2.3", peer=STRANGER, Origin="https://evil.example") as client:
        assert (await client.get(path)).status_code == 200
        assert (await client.get("/metrics")).status_code == 421


@pytest.mark.parametrize(
    "path", ["/nothing", "/-/nothing", "/-/../metrics", "/metrics", "/openapi.json", "/healthz/", "/readyz/../metrics"]
)
async def test_nothing_else_is(path: str, house: AdminHouse) -> None:
    house.allow()
    async with house.client(peer=STRANGER) as client:
        assert (await client.get(path)).status_code == 401


async def test_a_foreign_page_kicks_nobody(house: AdminHouse) -> None:
    viewer = house.watch()
    async with house.client(Origin="https://evil.example") as page:
        assert (await page.delete(f"/api/v1/viewers/{viewer.id}")).status_code == 403
    async with house.client(host="rebound.evil.example") as page:
        assert (await page.delete(f"/api/v1/viewers/{viewer.id}")).status_code == 421
    assert viewer.ended_by is None


async def test_no_answer_allows_other_sites_to_read_it(house: AdminHouse) -> None:
    async with house.client() as client:
        for answer in (await client.get("/api/v1/viewers"), await client.options("/api/v1/viewers")):
            assert not [name for name in answer.headers if name.startswith("access-control")]
