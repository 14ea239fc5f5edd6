--[[
Renews seats. One call is for some hundred of them, so that it holds Redis up for a few milliseconds at most.

ARGV: me, edge; then for each seat m, how long ago it was active, ttl, what was seen of it (empty: nothing).

Returns how many were damaged, and for each seat 0 (gone), {1, reason} (over), 2 (kept), or {2, how old, sighting, how old, sighting...}
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

-- rewrite changes what is not in the head: the edge that saw the seat last, and, twice a day, how long its keys are kept.
local function rewrite(m, raw, seen, ttl, seen_here)
  local s = decode(m, raw)
  if not s then torn(m) return false end
  s.seen = seen
  if seen_here then s.f[F.edge] = edge end
  if now - s.kept > DAY / 2 then
    s.kept = now
    keep(P .. 'seat:' .. m, ttl)
    if s.f[F.user] ~= '' then keep(P .. 'user:' .. s.f[F.user], ttl) end
    if s.f[F.slot] ~= '' then keep(P .. 'slot:' .. s.f[F.slot], ttl) end
    if s.tag ~= NOBODY then keep(P .. 'owner:' .. s.tag, ttl) end
    for i = F.uses, #s.f, 2 do keep(P .. 'use:' .. s.f[i], ttl) end
  end
  redis.call('SET', P .. 'seat:' .. m, encode(s), 'KEEPTTL')
  return true
end

local function renew(m, ago, ttl, seen)
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
  local here = active >= last
  if (here and string.sub(head, 27, 34) ~= own) or now - kept > DAY / 2 then
    if not rewrite(m, redis.call('GET', key), math.max(last, active), ttl, here) then return 0 end
  elseif active > last then
    redis.call('SETRANGE', key, 0, ago == 0 and active_text or string.format('%013d', active))
  end
  if active > last then
    local tag = string.sub(head, 36, HEAD)
    if tag ~= NOBODY then redis.call('ZADD', P .. 'owner:' .. tag, active, m) end
  end
  if active + ttl > expires then redis.call('ZADD', P .. 'exp', active + ttl, m) end
  local others = sight(m, ttl, seen)
  if #others == 0 then return 2 end
  table.insert(others, 1, 2)
  return others
end

local longest = 0
for i = 3, #ARGV - 3, 4 do
  local ttl = tonumber(ARGV[i + 2])
  longest = math.max(longest, ttl)
  result[#result + 1] = renew(ARGV[i], tonumber(ARGV[i + 1]), ttl, ARGV[i + 3])
end
purge(20)
keep_common(longest)
result[1] = damaged
return result
