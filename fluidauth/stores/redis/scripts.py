"""How a record is kept in Redis, and the scripts that change it there, each in one step.

A record is one string under ``namespace:{xx}`` and its handle in 32 bytes. The xx are the first two digits
of the handle. They put the two records of a renewal into one slot of a cluster. Redis removes a record a
minute after its expiry. The handles of a user are a sorted set under ``namespace:u:`` and the user. Their
scores are expiries. A handle is added before its record, and is removed some time after it.

``namespace:w{xx}``, a witness, has no content. It is written if we wait for replicas. The reason is that
since Redis 7.2, WAIT does not wait after a command that changed nothing. A record that is missing on a
primary does not prove that it is missing on the replica, too.
"""

from __future__ import annotations

import os
import struct

from fluidauth.errors import StoreError
from fluidauth.records import MAX_USER_ID_LENGTH, SessionRecord

from .connection import Greeting, Script
from .url import Place, Settings

KIN_DIGITS = 2
GRACE = 60  # seconds for which a record outlives its expiry: clocks differ

# Format, version, created_at, expires_at, stamp of the write, lengths of the kid and the user.
HEAD = struct.Struct(">BQQQ8sBH")
_FORMAT = 1

LOST = 4
"""The answer to a change that was sent again, if nobody can know whether it was made the first time."""

# In Lua bytes are counted from one: version 2, created_at 10, expires_at 18, stamp 26, lengths 34 and 35.
_LUA = """
local function number(value, at) return (struct.unpack('>I8', value, at)) end
local function stamp(value) return string.sub(value, 26, 33) end
local function user(value)
    local from = 37 + string.byte(value, 34)
    return string.sub(value, from, from + struct.unpack('>I2', value, 35) - 1)
end
local function put(key, value)
    redis.call('SET', key, value, 'EXAT', string.format('%.0f', number(value, 18) + GRACE))
end
local function witness(key)
    if key then redis.call('SET', key, '', 'EX', GRACE) end
end
local function refusal(old, new, again)
    return again and number(old, 2) > number(new, 2) and LOST or 0
end
""".replace("GRACE", str(GRACE)).replace("LOST", str(LOST))
# Each script answers the same when it is run again with the same stamp, since the first answer may be lost.
# One more argument than usual says that it is run again. If others changed the record since, nobody can know
# whether the first run was carried out: LOST. If a record to be removed is gone, the first run removed it.
CREATE = Script(
    _LUA
    + """
local old = redis.call('GET', KEYS[1])
if old then return stamp(old) == stamp(ARGV[1]) and 1 or refusal(old, ARGV[1], ARGV[2]) end
put(KEYS[1], ARGV[1])
return 1
"""
)
UPDATE = Script(
    _LUA
    + """
local old, new = redis.call('GET', KEYS[1]), ARGV[1]
if not old then return 0 end
if stamp(old) == stamp(new) then return 3 end
if number(old, 2) ~= number(new, 2) - 1 then return refusal(old, new, ARGV[3]) end
if ARGV[2] == '' and user(new) ~= '' and user(new) ~= user(old) then return 2 end
local expires_at = number(old, 18) > number(new, 18) and old or new
put(KEYS[1], string.sub(new, 1, 9) .. string.sub(old, 10, 17)
    .. string.sub(expires_at, 18, 25) .. string.sub(new, 26))
return number(new, 18) > number(old, 18) and 3 or 1
"""
)
# Returns the user, empty for none; false if nothing was moved.
TOUCH = Script(
    _LUA
    + """
local old = redis.call('GETRANGE', KEYS[1], 0, LONGEST_HEAD)
local moves = old ~= '' and number(ARGV[1], 1) - number(old, 18) or -1
if moves < 0 or (moves == 0 and not ARGV[3]) then return false end
redis.call('SETRANGE', KEYS[1], 17, ARGV[1])
redis.call('EXPIREAT', KEYS[1], string.format('%.0f', number(ARGV[1], 1) + ARGV[2]))
return user(old)
""".replace("LONGEST_HEAD", str(HEAD.size + 255 + 4 * MAX_USER_ID_LENGTH))
)
REPLACE = Script(
    _LUA
    + """
witness(KEYS[3])
local old, new = redis.call('GET', KEYS[1]), ARGV[1]
if not old then return {0} end
if stamp(old) == stamp(new) then return {1, ''} end
if number(old, 2) ~= number(new, 2) - 1 then return {refusal(old, new, ARGV[3])} end
if redis.call('EXISTS', KEYS[2]) == 1 then return {2} end
put(KEYS[1], string.sub(new, 1, 9) .. string.sub(old, 10, 17) .. string.sub(new, 18))
put(KEYS[2], ARGV[2])
return {1, user(old)}
"""
)
# Returns the user of what was removed, false if nothing was, or a list if it is another user's.
DELETE = Script(
    _LUA
    + """
witness(KEYS[2])
local old = redis.call('GET', KEYS[1])
if not old then return ARGV[4] and '' or false end
if ARGV[1] ~= '' and number(old, 2) ~= tonumber(ARGV[1]) then return false end
if ARGV[2] ~= '' and user(old) ~= ARGV[2] then return {stamp(old)} end
if ARGV[3] ~= '' and number(old, 18) > tonumber(ARGV[3]) then return false end
redis.call('DEL', KEYS[1])
return user(old)
"""
)
ENROL = Script(
    """
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', redis.call('TIME')[1] - 60, 'LIMIT', 0, 16)
"""
)
SCRIPTS = (CREATE, UPDATE, TOUCH, REPLACE, DELETE, ENROL)


def encoded(record: SessionRecord) -> bytes:
    """Return *record* without its handle, under a stamp of its own."""
    kid, user = record.kid.encode(), (record.user_id or "").encode()
    head = HEAD.pack(
        _FORMAT, record.version, record.created_at, record.expires_at, os.urandom(8), len(kid), len(user)
    )
    return b"".join((head, kid, user, record.payload))


def decoded(handle: str, value: bytes) -> SessionRecord:
    """Return the record that was stored as *value*; raise ``StoreError`` if none was."""
    try:
        form, version, created_at, expires_at, _, kid_length, user_length = HEAD.unpack_from(value)
        if form != _FORMAT:
            raise ValueError
        user_at = HEAD.size + kid_length
        payload_at = user_at + user_length
        kid, user = value[HEAD.size : user_at].decode(), value[user_at:payload_at].decode()
    except (struct.error, ValueError):
        raise StoreError("Redis has something else under the key of a record") from None
    return SessionRecord(handle, user or None, created_at, expires_at, version, kid, value[payload_at:])


def kid_in(head: bytes) -> str:
    """Return the kid of the record that begins with *head*."""
    return head[HEAD.size : HEAD.size + head[33]].decode(errors="replace")


def greeting_for(settings: Settings, place: Place) -> Greeting:
    """Return what to send first to the server at *place*; a sentinel has its own login and no scripts."""
    if settings.kind == "sentinel" and place in settings.places:
        return Greeting(settings.sentinel_login, ())
    # A sentinel names an old primary until it has heard of the new one.
    return Greeting(settings.login, SCRIPTS, to_primary=settings.kind == "sentinel")
