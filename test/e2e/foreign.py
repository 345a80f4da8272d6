"""The seed's three endpoints, from a client that knows nothing of Fanfare, across two instances.

Usage: foreign.py ws://HOST:PORT ws://HOST:PORT [deflate]

With deflate the instances have to agree to the compression that the client offers by itself.
"""

import asyncio
import json
import sys

import websockets

PATIENCE = 20


async def want(ws, expected):
    got = await asyncio.wait_for(ws.recv(), PATIENCE)
    assert got == expected, f"got {got!r}, want {expected!r}"


async def want_close(ws, code):
    try:
        got = await asyncio.wait_for(ws.recv(), PATIENCE)
    except websockets.ConnectionClosed:
        assert ws.close_code == code, f"closed with {ws.close_code}, want {code}"
        return
    raise AssertionError(f"got {got!r}, want close {code}")


async def echo(url):
    async with websockets.connect(url + "/ws/echo") as ws:
        await ws.send("hello")
        await want(ws, "Message text was: hello")
        await ws.send("grüße 👋")
        await want(ws, "Message text was: grüße 👋")
        await ws.send(b"\x00\xff")
        await want(ws, b"\x00\xff")
        await ws.send(json.dumps({"a": [1, 2]}))
        await want(ws, 'Message text was: {"a": [1, 2]}')
        await ws.send(["frag", "mented"])  # one message in fragments
        await want(ws, "Message text was: fragmented")
        await (await ws.ping())


async def chat(a, b):
    async with websockets.connect(a + "/ws/chat/1") as one:
        # The first hears of the second; that also shows that the first has joined. Until then a
        # second may come too early, so let it come again.
        while True:
            two = await websockets.connect(b + "/ws/chat/2")
            try:
                await asyncio.wait_for(one.recv(), 1)
                break
            except asyncio.TimeoutError:
                await two.close()
        while True:  # earlier ones may still be leaving
            await one.send("anyone?")
            try:
                await asyncio.wait_for(two.recv(), 1)
                break
            except asyncio.TimeoutError:
                pass
        await one.send("hello")
        while (got := await asyncio.wait_for(two.recv(), PATIENCE)) != "Client #1 says: hello":
            assert got == "Client #1 says: anyone?", got
        await two.send("hi")
        while (got := await asyncio.wait_for(one.recv(), PATIENCE)) != "Client #2 says: hi":
            assert got in ("Client #2 left the chat", "Client #2 joined the chat"), got
        await two.send(b"\x01\x02")
        await want(one, b"\x01\x02")
        two.transport.abort()  # the connection just breaks
        await want(one, "Client #2 left the chat")


async def secure(url):
    async with websockets.connect(url + "/ws/secure?token=alice") as ws:
        await want(ws, "Authenticated with credential: alice")
        await ws.send("x")
        await want(ws, "Secure echo: x")
    cookie = {"Cookie": "session=bob"}
    async with websockets.connect(url + "/ws/secure", extra_headers=cookie) as ws:
        await want(ws, "Authenticated with credential: bob")
    async with websockets.connect(url + "/ws/secure") as ws:
        await want_close(ws, 1008)


async def compressed(a, b):
    """A text of 20,000 bytes crosses both instances; the caller looks at how many bytes that took."""
    async with websockets.connect(a + "/ws/chat/3?room=z") as one, websockets.connect(b + "/ws/chat/4?room=z") as two:
        for ws in (one, two):
            assert [e.name for e in ws.extensions] == ["permessage-deflate"], ws.extensions
        while True:  # until both are members
            await one.send("anyone?")
            try:
                if await asyncio.wait_for(two.recv(), 1) == "Client #3 says: anyone?":
                    break
            except asyncio.TimeoutError:
                pass
        await one.send("grüße " * 2500)
        while (got := await asyncio.wait_for(two.recv(), PATIENCE)) != "Client #3 says: " + "grüße " * 2500:
            assert got in ("Client #3 says: anyone?", "Client #3 joined the chat"), got[:100]


async def main(a, b, deflate=None):
    for url in (a, b):
        await echo(url)
        await secure(url)
    await chat(a, b)
    if deflate:
        await compressed(a, b)
    print("echo, secure and chat as in the course: ok")


asyncio.run(main(*sys.argv[1:]))
