--[[
Stands before every script of this folder.

KEYS[1]  the hash tag of the deployment, "{earshot:name}". Every key here begins with it, so that all of them lie in one slot of a cluster.

A seat is known by m: its id (without any NUL, see Go's member), a NUL, its group. What there is, each key after the tag and a colon:

  seat:<m>     string  the seat: a head of fixed width, then an array in MessagePack (F names its fields)
  exp          zset    m by the time it expires: this decides whether there is a seat
  all          zset    m by the time it began
  ids          zset    m, all with score 0: the seats of an id lie side by side
  user:<u>     zset    m of a user's seats by the time they began
  owner:<tag>  zset    m of an owner's seats by the time they were last seen
  slot:<s>     set     m of the seats that share a slot
  use:<name>   zset    what counts under a limit, by the time it began: m, or a NUL and the slot that seats share
  uses         zset    the names of limits that anybody counts under, all with score 0
  max          hash    the maximum of each of these, as the last claim had it
  hold:<m>     zset    the edges that hold a seat, by until when; it is there once a second one does
  sight:<m>    string  what edges saw of a session: lines of edge, time and sighting
  ended:<m>    string  until when an ending stands, a newline, why; it lives as long
  cool:<tag>   string  when a seat of this owner was evicted
  board        hash    notes by kind, NUL, id
  torn         string  when there was damage, for an hour: counts not checked since are checked before they are believed
  checked      hash    when the count under a limit was found to be right after that

Times are milliseconds of Redis's own clock. Nobody else's is ever compared with them.
]]

local P = KEYS[1] .. ':'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local damaged = 0

-- The fields of a seat after its head. Names and maxima of limits follow in turn from F.uses on.
local F = {
  started = 1, user = 2, slot = 3, api = 4, guard = 5, from = 6, passed = 7, edge = 8,
  addr = 9, agent = 10, kind = 11, device = 12, dtype = 13, service = 14, owner = 15, guarded = 16, uses = 17,
}

-- The head: when it was last seen (13 digits), when its keys were last kept (13), the edge (8 of its SHA-1), whether it may pass (y or n;
-- in capitals where hold:<m> is there), the owner's tag (22, dots if there is none).
local HEAD = 57
local NOBODY = string.rep('.', 22)

local DAY = 86400000

-- keep sees to it that a key outlives the seats of that time to live, and not the deployment.
local function keep(key, ttl)
  local span = 2 * DAY + 2 * ttl
  if redis.call('PTTL', key) < span / 2 then redis.call('PEXPIRE', key, span) end
end

-- keep_board: notes outlive an absence of all edges that seats do not.
local function keep_board()
  if redis.call('PTTL', P .. 'board') < 15 * DAY then redis.call('PEXPIRE', P .. 'board', 30 * DAY) end
end

local function keep_common(ttl)
  for _, k in ipairs({'exp', 'all', 'ids', 'uses', 'max'}) do keep(P .. k, ttl) end
  keep_board()
end

local function mark(edge) return string.sub(redis.sha1hex(edge), 1, 8) end

-- encode writes a seat down.
local function encode(s)
  return string.format('%013d%013d%s%s%s', s.seen, s.kept, mark(s.f[F.edge]),
    s.shared and (s.passes and 'Y' or 'N') or s.passes and 'y' or 'n', s.tag) .. cmsgpack.pack(s.f)
end

-- Which of a seat's fields are numbers, and which of them are told to Go.
local NUMBER = {[F.started] = true, [F.api] = true, [F.guard] = true, [F.guarded] = true}
local TOLD = {F.started, F.user, F.slot, F.api, F.edge, F.addr, F.agent, F.kind, F.device, F.dtype, F.service, F.owner}

-- whole tells whether an array has the shape of a seat.
local function whole(f)
  local n = type(f) == 'table' and #f or 0
  if n < F.uses - 1 or (n - F.uses + 1) % 2 ~= 0 then return false end
  for i = 1, F.uses - 1 do
    if type(f[i]) ~= (NUMBER[i] and 'number' or 'string') then return false end
  end
  for i = F.uses, n, 2 do
    if type(f[i]) ~= 'string' or type(f[i + 1]) ~= 'number' then return false end
  end
  return true
end

-- decode reads what encode wrote, or anything else that may stand there: then it is nil.
local function decode(m, raw)
  if type(raw) ~= 'string' or #raw <= HEAD then return nil end
  local seen, kept = tonumber(string.sub(raw, 1, 13)), tonumber(string.sub(raw, 14, 26))
  local ok, f = pcall(cmsgpack.unpack, string.sub(raw, HEAD + 1))
  if not (ok and seen and kept and whole(f)) then return nil end
  local p = string.sub(raw, 35, 35)
  return {m = m, seen = seen, kept = kept, passes = p == 'y' or p == 'Y', shared = p == 'Y' or p == 'N', tag = string.sub(raw, 36, HEAD), f = f}
end

-- place is what the seat counts as under a limit: itself, or its slot.
local function place(s)
  if s.f[F.slot] == '' then return s.m end
  return '\0' .. s.f[F.slot]
end

local function counts_under(s, name)
  for i = F.uses, #s.f, 2 do
    if s.f[i] == name then return true end
  end
  return false
end

-- What live has found in this call.
local found = {}

-- peek reads a seat whether it has expired or not.
local function peek(m)
  if found[m] then return found[m] end
  local raw = redis.pcall('GET', P .. 'seat:' .. m)
  return decode(m, raw)
end

-- mates are the seats that share a slot. More than a few is a device gone mad.
local function mates(slot)
  local all = {}
  for _, m in ipairs(redis.call('SMEMBERS', P .. 'slot:' .. slot)) do
    local s = peek(m)
    if s then all[#all + 1] = s else redis.call('SREM', P .. 'slot:' .. slot, m) end
  end
  return all
end

-- uncount takes a place from a limit, and the limit from the list if it was the last.
local function uncount(name, what)
  redis.pcall('ZREM', P .. 'use:' .. name, what)
  if redis.call('EXISTS', P .. 'use:' .. name) == 0 then
    redis.pcall('ZREM', P .. 'uses', name)
    redis.pcall('HDEL', P .. 'max', name)
  end
end

-- recount puts the slot where its oldest seat stands under a limit.
local function recount(slot, name)
  local first
  for _, s in ipairs(mates(slot)) do
    if counts_under(s, name) and (not first or s.f[F.started] < first) then first = s.f[F.started] end
  end
  if first then redis.pcall('ZADD', P .. 'use:' .. name, first, '\0' .. slot) else uncount(name, '\0' .. slot) end
end

-- discount has a seat that counts there no longer leave a limit.
local function discount(s, name)
  if s.f[F.slot] == '' then uncount(name, s.m) else recount(s.f[F.slot], name) end
end

local function unlist(m)
  found[m] = nil
  redis.call('ZREM', P .. 'exp', m)
  redis.call('ZREM', P .. 'all', m)
  redis.call('ZREM', P .. 'ids', m)
  redis.call('DEL', P .. 'seat:' .. m, P .. 'sight:' .. m, P .. 'hold:' .. m)
end

-- drop takes a seat out of everything.
local function drop(s)
  unlist(s.m)
  if s.f[F.user] ~= '' then redis.call('ZREM', P .. 'user:' .. s.f[F.user], s.m) end
  if s.tag ~= NOBODY then redis.call('ZREM', P .. 'owner:' .. s.tag, s.m) end
  local slot = s.f[F.slot]
  if slot ~= '' then redis.call('SREM', P .. 'slot:' .. slot, s.m) end
  for i = F.uses, #s.f, 2 do discount(s, s.f[i]) end
end

-- torn drops what cannot be read. What else names it is mended when it is met.
local function torn(m)
  unlist(m)
  redis.call('SET', P .. 'torn', string.format('%d', now), 'PX', 3600000)
  damaged = damaged + 1
end

-- live is the seat if there is one. An expired one is dropped as it is met.
local function live(m)
  if found[m] then return found[m] end
  local e = tonumber(redis.call('ZSCORE', P .. 'exp', m) or '')
  if not e then return nil end
  local s = peek(m)
  if not s then torn(m) return nil end
  if e <= now then drop(s) return nil end
  s.expires = e
  found[m] = s
  return s
end

-- Whether there are more expired seats than this call has dropped, and when there was damage.
local backlog, torn_at = false, nil

-- purge drops seats that have expired, some at a time: a dead edge's thousands must not hold Redis up.
local function purge(n)
  for _, m in ipairs(redis.call('ZRANGEBYSCORE', P .. 'exp', '-inf', now, 'LIMIT', 0, n)) do
    local s = peek(m)
    if s then drop(s) else torn(m) end
  end
  backlog = #redis.call('ZRANGEBYSCORE', P .. 'exp', '-inf', now, 'LIMIT', 0, 1) > 0
  torn_at = tonumber(redis.call('GET', P .. 'torn') or '')
end

-- unchecked tells whether there was damage that the count under a limit may have suffered from.
local function unchecked(name)
  return torn_at ~= nil and (tonumber(redis.call('HGET', P .. 'checked', name) or '') or 0) <= torn_at
end

-- doubtful tells whether there may be dead ones under a limit.
local function doubtful(name) return backlog or unchecked(name) end

-- lives tells whether a place under a limit is truly taken, and drops what is dead of it.
local function lives(name, what)
  local any = false
  if string.byte(what, 1) == 0 then
    local slot = string.sub(what, 2)
    for _, m in ipairs(redis.call('SMEMBERS', P .. 'slot:' .. slot)) do
      local s = live(m)
      if not s then redis.call('SREM', P .. 'slot:' .. slot, m) elseif counts_under(s, name) then any = true end
    end
  else
    local s = live(what)
    any = s ~= nil and counts_under(s, name)
  end
  if not any then uncount(name, what) end
  return any
end

-- bury drops those of the expired that count under a limit, until there are fewer than enough. It goes through the dead, since the living may be fifty
-- thousand; those that may pass have no slot, so that nothing need be read of most.
local function bury(name, enough)
  local key = P .. 'use:' .. name
  local at = 0
  while redis.call('ZCARD', key) >= enough do
    local some = redis.call('ZRANGEBYSCORE', P .. 'exp', '-inf', now, 'LIMIT', at, 1000)
    if #some == 0 then break end
    for _, m in ipairs(some) do
      local its = redis.call('ZSCORE', key, m)
      local p = not its and redis.pcall('GETRANGE', P .. 'seat:' .. m, 34, 34)
      if not its and p ~= 'y' and p ~= 'Y' then
        local s = peek(m)
        its = not s or counts_under(s, name)
      end
      if its then live(m) else at = at + 1 end
      if its and redis.call('ZCARD', key) < enough then break end
    end
  end
end

-- taken counts the places under a limit. If there may be dead ones among them, it looks for these as long as the count is not below enough.
local function taken(name, enough)
  local key = P .. 'use:' .. name
  if backlog then bury(name, enough) end
  local n = redis.call('ZCARD', key)
  if n < enough or not unchecked(name) then return n end
  local at = 0
  while n >= enough do
    local some = redis.call('ZRANGE', key, at, at + 99)
    if #some == 0 then
      if torn_at then
        redis.call('HSET', P .. 'checked', name, string.format('%d', now))
        redis.call('PEXPIRE', P .. 'checked', 3600000)
      end
      break
    end
    for _, what in ipairs(some) do
      if lives(name, what) then at = at + 1 else n = n - 1 end
      if n < enough then break end
    end
  end
  return n
end

-- outlast has an edge be among those that hold a seat until then, if it is not for longer. (ZADD has GT for it only since Redis 6.2.)
local function outlast(m, edge, till)
  local was = redis.pcall('ZSCORE', P .. 'hold:' .. m, edge)
  if till > (tonumber(was or '') or 0) then redis.pcall('ZADD', P .. 'hold:' .. m, till, edge) end
end

-- hold has an edge hold a seat until then, if it does not already for longer. It is called before the seat is said to be seen by that edge.
local function hold(s, edge, till, ttl)
  local key = P .. 'hold:' .. s.m
  if not s.shared and s.f[F.edge] ~= edge then
    s.shared = true
    redis.call('DEL', key)
    redis.call('ZADD', key, s.expires, s.f[F.edge])
  end
  if s.shared then
    outlast(s.m, edge, till)
    redis.pcall('ZREMRANGEBYSCORE', key, '-inf', now)
    keep(key, ttl)
  end
end

-- let_go has an edge hold a seat no longer, and tells whether another one does.
local function let_go(s, edge)
  if not s.shared then return s.f[F.edge] ~= edge end
  local key = P .. 'hold:' .. s.m
  redis.pcall('ZREM', key, edge)
  local last = redis.pcall('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  local till = tonumber(last[2] or '')
  if not till or till <= now then return false end
  redis.call('ZADD', P .. 'exp', till, s.m)
  return true
end

-- tell publishes a notice. ARGV[1] is always who does: the number of the database, which channels do not know, stands before the dot.
local function tell(notice)
  notice.from = ARGV[1]
  redis.call('PUBLISH', P .. 'told:' .. string.match(ARGV[1], '^%d*'), cjson.encode(notice))
end

-- finish denies a session its seat for a time, whatever was decided before.
local function finish(m, reason, span)
  redis.call('DEL', P .. 'ended:' .. m)
  if span > 0 then redis.call('SET', P .. 'ended:' .. m, string.format('%d\n', now + span) .. reason, 'PX', span) end
  tell({ended = {m = m, reason = reason, ['for'] = span}})
end

-- sentenced is why a session was ended, if that stands.
local function sentenced(m)
  local got = redis.pcall('GET', P .. 'ended:' .. m)
  local till, reason = string.match(type(got) == 'string' and got or '', '^(%d+)\n(.*)$')
  if till and tonumber(till) > now then return reason end
  return nil
end

-- answer is a seat as Go reads it.
local function answer(s)
  local a = {s.m, s.seen, s.expires}
  for _, i in ipairs(TOLD) do a[#a + 1] = s.f[i] end
  for i = F.uses, #s.f do a[#a + 1] = s.f[i] end
  return a
end

-- earlier orders seats by when they began.
local function earlier(a, b)
  if a.f[F.started] ~= b.f[F.started] then return a.f[F.started] < b.f[F.started] end
  return a.m < b.m
end

-- count_under has a seat count under a limit.
local function count_under(s, name, max, ttl)
  local key = P .. 'use:' .. name
  if s.f[F.slot] == '' then
    redis.pcall('ZADD', key, s.f[F.started], s.m)
  else
    local first = tonumber(redis.pcall('ZSCORE', key, place(s)) or '') or s.f[F.started]
    redis.pcall('ZADD', key, math.min(first, s.f[F.started]), place(s))
  end
  keep(key, ttl)
  redis.pcall('ZADD', P .. 'uses', 0, name)
  redis.pcall('HSET', P .. 'max', name, max)
end

-- move has a seat, which the caller writes down, count where its listener is now: under what stands in all from at on, name and maximum of n uses in turn.
local function move(s, addr, agent, owner, tag, all, at, n, ttl)
  s.f[F.addr], s.f[F.agent] = addr, agent
  if s.tag ~= NOBODY and tag ~= NOBODY and s.tag ~= tag then
    redis.pcall('ZREM', P .. 'owner:' .. s.tag, s.m)
    redis.pcall('ZADD', P .. 'owner:' .. tag, s.seen, s.m)
    keep(P .. 'owner:' .. tag, ttl)
    s.f[F.owner], s.tag = owner, tag
  end
  local same = #s.f == F.uses - 1 + 2 * n
  for i = 0, n - 1 do
    same = same and s.f[F.uses + 2 * i] == all[at + 2 * i] and s.f[F.uses + 2 * i + 1] == tonumber(all[at + 2 * i + 1])
  end
  if same then return end
  local before = {}
  for i = #s.f, F.uses, -1 do before[i], s.f[i] = s.f[i], nil end
  for i = at, at + 2 * n - 2, 2 do
    s.f[#s.f + 1], s.f[#s.f + 2] = all[i], tonumber(all[i + 1])
    count_under(s, all[i], all[i + 1], ttl)
  end
  found[s.m] = s -- what is counted from here on is the seat as it is now
  local i = F.uses
  while before[i] do
    if not counts_under(s, before[i]) then discount(s, before[i]) end
    i = i + 2
  end
end
