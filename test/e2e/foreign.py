"""The seed's three endpoints, from a client that knows nothing of Fanfare, across two instances.

Usage: foreign.py ws://HOST:PORT ws://HOST:PORT
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


async def main(a, b):
    for url in (a, b):
        await echo(url)
        await secure(url)
    await chat(a, b)
    print("echo, secure and chat as in the course: ok")


asyncio.run(main(*sys.argv[1:]))
