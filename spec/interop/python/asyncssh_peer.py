"""asyncssh at the other end of an SSH connection.

`client PORT KEY KNOWN_HOSTS up|down|echo COUNT` runs a command of the server's and says what came of it.
`server HOST_KEY USER_PUBLIC_KEY` says its port in its first line, and serves until its input ends.
"""
import asyncio
import hashlib
import os
import sys

import asyncssh

CHUNK = 65_536


async def up(connection, count):
    """Sends random bytes; says their hash, and what the server has for theirs."""
    process = await connection.create_process('hash', encoding=None)
    sent = hashlib.sha256()
    for _ in range(count // CHUNK):
        chunk = os.urandom(CHUNK)
        sent.update(chunk)
        process.stdin.write(chunk)
        await process.stdin.drain()
    process.stdin.write_eof()
    told = await process.stdout.read()
    return f'{sent.hexdigest()} {told.decode()}'


async def down(connection, count):
    """Says the hash of what the server gives."""
    process = await connection.create_process(f'give {count}', encoding=None)
    received = hashlib.sha256()
    while chunk := await process.stdout.read(CHUNK):
        received.update(chunk)
    return received.hexdigest()


async def echo(connection, count):
    """Sends one byte after the other, each when the one before has come back; says how many have."""
    process = await connection.create_process('cat', encoding=None)
    for sent in range(count):
        process.stdin.write(bytes([sent % 256]))
        if await process.stdout.readexactly(1) != bytes([sent % 256]):
            return sent
    process.stdin.write_eof()
    await process.wait_closed()
    return count


async def client(port, key, known_hosts, what, count):
    options = {'username': 'alice', 'client_keys': [key], 'known_hosts': known_hosts, 'config': None}
    async with asyncssh.connect('127.0.0.1', int(port), **options) as connection:
        print(await {'up': up, 'down': down, 'echo': echo}[what](connection, int(count)))


async def cat(process):
    while chunk := await process.stdin.read(CHUNK):
        process.stdout.write(chunk)
        await process.stdout.drain()
    process.exit(0)


class Server(asyncssh.SSHServer):
    def server_requested(self, listen_host, listen_port):
        return True


async def server(host_key, user_key):
    listener = await asyncssh.create_server(
        Server,
        '127.0.0.1',
        0,
        server_host_keys=[host_key],
        authorized_client_keys=user_key,
        process_factory=cat,
        encoding=None,
    )
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run({'client': client, 'server': server}[sys.argv[1]](*sys.argv[2:]))
