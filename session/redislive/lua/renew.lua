--[[
Renews seats. One call is for some hundred of them, so that it holds Redis up for a few milliseconds at most.

ARGV: me, edge, how many seats; for each m, how long ago it was active, ttl, what was seen of it (empty: nothing); then for each whose listener has moved
which of the seats it is, addr, agent, owner, owner's tag, how many uses, name and max of each.

Returns how many were damaged, and for each seat 0 (gone), {1, reason} (over), 2 (kept), 3 (kept, and a stray), or {2 or 3, how old, sighting, how old, sighting...}
]]

local edge = ARGV[2]
local own = mark(edge)
local name = string.gsub(edge, '%c', ' ') -- in lines
local result = {0}
local NONE = {}
local clock_text = string.format('%d', now)
local active_text = string.format('%013d', now)

local function line(e, at, what) return e .. '\n' .. at .. '\n' .. what .. '\n' end

-- What is noted where this edge alone saw a seat.
local alone = '^' .. string.gsub(name, '%p', '%%%0') .. '\n%d+\n[^\n]*\n$'

-- sight notes what this edge saw of a seat, and returns what others did within the time to live.
local function sight(m, ttl, seen)
  local key = P .. 'sight:' .. m
  local got = redis.pcall('GET', key)
  if seen ~= '' and (not got or type(got) == 'string' and string.find(got, alone)) then -- by far the most: nobody else saw it
    redis.call('SET', key, line(name, clock_text, seen), 'PX', DAY + 2 * ttl)
    return NONE
  end
  if not got then return NONE end
  local entries = {}
  if type(got) == 'string' then
    for e, t, what in string.gmatch(got, '([^\n]*)\n(%d+)\n([^\n]*)\n') do
      local age = now - tonumber(t)
      if age >= 0 and age < DAY and #entries < 32 and (e ~= name or seen == '') then
        entries[#entries + 1] = {edge = e, at = t, age = age, what = what}
      end
    end
  end
  if seen ~= '' then entries[#entries + 1] = {edge = name, at = clock_text, age = 0, what = seen} end
  table.sort(entries, function(x, y) return x.edge < y.edge end)
  local others, lines = {}, {}
  for _, e in ipairs(entries) do
    if e.edge ~= name and e.age < ttl then
      others[#others + 1] = e.age
      others[#others + 1] = e.what
    end
    lines[#lines + 1] = line(e.edge, e.at, e.what)
  end
  if seen ~= '' then redis.call('SET', key, table.concat(lines), 'PX', DAY + 2 * ttl) end
  return others
end

-- rewrite changes what is not in the head: the edges that hold the seat, the one that saw it last, and, twice a day, how long its keys are kept.
-- If its listener has moved, to says where that stands.
local function rewrite(m, raw, expires, till, seen, ttl, seen_here, to)
  local s = decode(m, raw)
  if not s then torn(m) return nil end
  s.expires = expires
  hold(s, edge, till, ttl)
  s.seen = seen
  if seen_here then s.f[F.edge] = edge end
  if to then move(s, ARGV[to + 1], ARGV[to + 2], ARGV[to + 3], ARGV[to + 4], ARGV, to + 6, tonumber(ARGV[to + 5]), ttl) end
  if now - s.kept > DAY / 2 then
    s.kept = now
    keep(P .. 'seat:' .. m, ttl)
    if s.f[F.user] ~= '' then keep(P .. 'user:' .. s.f[F.user], ttl) end
    if s.f[F.slot] ~= '' then keep(P .. 'slot:' .. s.f[F.slot], ttl) end
    if s.tag ~= NOBODY then keep(P .. 'owner:' .. s.tag, ttl) end
    for i = F.uses, #s.f, 2 do keep(P .. 'use:' .. s.f[i], ttl) end
  end
  redis.call('SET', P .. 'seat:' .. m, encode(s), 'KEEPTTL')
  return s.tag
end

local function renew(m, ago, ttl, seen, to)
  local expires = tonumber(redis.call('ZSCORE', P .. 'exp', m) or '')
  if not expires or expires <= now then
    local reason = sentenced(m)
    if reason then return {1, reason} end
    return 0
  end
  local active = now - ago
  local key = P .. 'seat:' .. m
  local head = redis.pcall('GETRANGE', key, 0, HEAD - 1)
  local last = type(head) == 'string' and #head == HEAD and tonumber(string.sub(head, 1, 13))
  local kept = last and tonumber(string.sub(head, 14, 26))
  if not kept then torn(m) return 0 end
  local here, another = active >= last, string.sub(head, 27, 34) ~= own
  local p = string.sub(head, 35, 35)
  local shared = p == 'Y' or p == 'N'
  if another and not here then to = nil end
  local tag = string.sub(head, 36, HEAD)
  if to or another and (here or not shared) or now - kept > DAY / 2 then
    tag = rewrite(m, redis.call('GET', key), expires, active + ttl, math.max(last, active), ttl, here, to)
    if not tag then return 0 end
  else
    if shared then outlast(m, edge, active + ttl) end
    if active > last then redis.call('SETRANGE', key, 0, ago == 0 and active_text or string.format('%013d', active)) end
  end
  if active > last and tag ~= NOBODY then redis.pcall('ZADD', P .. 'owner:' .. tag, active, m) end
  if active + ttl > expires then redis.call('ZADD', P .. 'exp', active + ttl, m) end
  local others = sight(m, ttl, seen)
  local state = another and here and not to and 3 or 2
  if #others == 0 then return state end
  table.insert(others, 1, state)
  return others
end

local longest = 0
local last = 3 + 4 * tonumber(ARGV[3])
local moved, at = {}, last + 1
while at < #ARGV do
  moved[4 * tonumber(ARGV[at])] = at
  at = at + 6 + 2 * tonumber(ARGV[at + 5])
end
for i = 4, last, 4 do
  local ttl = tonumber(ARGV[i + 2])
  longest = math.max(longest, ttl)
  result[#result + 1] = renew(ARGV[i], tonumber(ARGV[i + 1]), ttl, ARGV[i + 3], moved[i])
end
purge(20)
keep_common(longest)
result[1] = damaged
return result
