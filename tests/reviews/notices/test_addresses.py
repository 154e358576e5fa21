"""Notices go nowhere inside, whatever a name says and however often it changes its mind."""

import ipaddress
import socket
import threading

import httpcore
import pytest
from django.utils import timezone

from governance.kernel.errors import DomainError
from reviews.notices import addresses
from reviews.notices.addresses import AddressRefused, GuardedBackend, check_url, refusal_of
from reviews.notices.posting import Poster

INSIDE = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("100.100.100.200", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "168.63.129.16"),
    *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1"),
    *("2002:7f00:1::", "2002:a9fe:a9fe::", "64:ff9b::a9fe:a9fe", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1"),
]
OUTSIDE = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", INSIDE)
def test_no_address_inside_is_told_anything(address):
    assert refusal_of(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_public_addresses_are(address):
    assert refusal_of(ipaddress.ip_address(address)) == ""


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "168.63.129.16", "0.0.0.0"]
)
def test_an_allowed_host_may_be_inside_but_never_a_metadata_service(address):
    assert refusal_of(ipaddress.ip_address("10.0.0.1"), may_be_inside=True) == ""
    assert refusal_of(ipaddress.ip_address("::1"), may_be_inside=True) == ""
    assert refusal_of(ipaddress.ip_address(address), may_be_inside=True)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "hooks.example.org",
            "http://hooks.example.org/",
            "ftp://hooks.example.org/",
            "https://",
            "https:///path",
        ),
        *("https://user:word@hooks.example.org/", "https://hooks.example.org/#part", "https://hooks.example.org/ a"),
        *("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://10.1.2.3:8443/"),
        *("https://hooks.example.org:99999/", "https://[broken/", "https://hööks.example.org/", "https://a\n/"),
        "https://hooks.example.org/" + "x" * 500,
    ],
    ids=range(18),
)
def test_addresses_that_cannot_be_are_refused_in_words(url):
    with pytest.raises(AddressRefused) as refusal:
        check_url(url)
    assert refusal.value.details["field"] == "url"


def test_plain_http_and_the_inside_are_for_named_hosts_only(settings):
    settings.WEBHOOK_INTERNAL_HOSTS = ["hooks.internal", "10.1.2.3"]
    assert check_url(" http://Hooks.Internal:8080/a?b=c ") == "http://Hooks.Internal:8080/a?b=c"
    assert check_url("http://10.1.2.3/")
    with pytest.raises(AddressRefused):
        check_url("http://hooks.internal.example.org/")


def answers(*found):
    """A resolver that gives one answer after the other, as somebody who rebinds a name does."""
    waiting = list(found)

    def getaddrinfo(host, port, **_):
        names = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port)) for name in names]

    return getaddrinfo


@pytest.mark.parametrize("names", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"]], ids=["inside", "one of two inside"])
def test_a_name_that_leads_inside_is_not_connected_to(names, monkeypatch, db):
    monkeypatch.setattr(socket, "getaddrinfo", answers(names))
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", lambda *_: pytest.fail("it connected"))
    with Poster() as poster:
        answer = poster.post("https://rebind.example.org/", headers={}, body=b"{}")
    assert answer.status is None
    assert "inside" in answer.problem or "this machine" in answer.problem


def test_the_address_that_was_looked_at_is_the_one_that_is_connected_to(monkeypatch):
    asked = []
    monkeypatch.setattr(socket, "getaddrinfo", answers(["93.184.216.34"], ["127.0.0.1"]))
    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", lambda self, host, *_: asked.append(host))
    backend = GuardedBackend()
    backend.begin()
    backend.connect_tcp("rebind.example.org", 443)
    assert asked == ["93.184.216.34"]


def test_a_redirect_inside_is_only_an_answer(receiver, db):
    receiver.answer = lambda request: (307, {"Location": "http://169.254.169.254/latest/"}, b"")
    with Poster() as poster:
        assert poster.post(receiver.url, headers={}, body=b"{}").status == 307
    assert len(receiver.received) == 1


def test_whoever_drips_is_given_up_on(settings, monkeypatch, db):
    settings.WEBHOOK_INTERNAL_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(addresses, "PATIENCE", 0.5)
    listener = socket.create_server(("127.0.0.1", 0))

    def drip():
        connection, _ = listener.accept()
        connection.recv(10_000)
        try:
            while True:
                connection.sendall(b"H")
                threading.Event().wait(0.1)
        except OSError:
            pass

    threading.Thread(target=drip, daemon=True).start()
    began = timezone.now()
    with Poster() as poster:
        answer = poster.post(f"http://127.0.0.1:{listener.getsockname()[1]}/", headers={}, body=b"{}")
    assert answer.status is None and (timezone.now() - began).total_seconds() < 10
    listener.close()


def test_nobody_is_waited_for_while_locks_are_held(db):
    from django.db import transaction

    with transaction.atomic(), pytest.raises((RuntimeError, DomainError)), Poster():
        pass
