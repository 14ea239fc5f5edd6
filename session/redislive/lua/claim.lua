--[[
Decides a claim; the numbers are those of session.Claim.

ARGV: me, m, id, ttl, policy, flags (a adopt, u of the user, g goes, s stay, r restore, p may pass), age, silence, cooldown, sentence, owner's tag, how many uses,
how many to terminate; user, slot, api, edge, addr, agent, kind, device, dtype, service, owner; m of back; name and max of each use; m of each to terminate.

Returns outcome, reason, seat, m of each taken, m of each ended, the numbers of the uses that are full, conflicting seats, how many were damaged.
]]

local m, id, policy, flags, tag = ARGV[2], ARGV[3], ARGV[5], ARGV[6], ARGV[11]
local ttl, silence, cooldown, sentence = tonumber(ARGV[4]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local started = now - tonumber(ARGV[7])
local function flag(c) return string.find(flags, c, 1, true) ~= nil end

local REFUSED, COOLING, ENDED, HELD, ANOTHER = 0, 1, 2, 3, 4

purge(100)

-- 1
local reason = sentenced(m)
if reason then return {ENDED, reason, {}, {}, {}, {}, {}, damaged} end

-- 2
local mine = live(m)
if mine and flag('u') and mine.f[F.user] ~= ARGV[14] then return {ANOTHER, '', {}, {}, {}, {}, {}, damaged} end
if mine then
  hold(mine, ARGV[17], now + ttl, ttl)
  mine.f[F.edge], mine.f[F.addr], mine.f[F.agent] = ARGV[17], ARGV[18], ARGV[19]
  if ARGV[23] ~= '' then mine.f[F.service] = ARGV[23] end
  mine.seen, mine.kept, mine.expires = now, now, math.max(mine.expires, now + ttl)
  if not flag('s') and mine.f[F.user] == ARGV[14] and mine.f[F.device] == ARGV[21] and mine.f[F.dtype] == ARGV[22] then
    move(mine, ARGV[18], ARGV[19], ARGV[24], tag, ARGV, 26, tonumber(ARGV[12]), ttl)
  end
  redis.call('SET', P .. 'seat:' .. m, encode(mine), 'KEEPTTL')
  redis.call('ZADD', P .. 'exp', mine.expires, m)
  keep_common(ttl)
  keep(P .. 'seat:' .. m, ttl)
  if mine.f[F.user] ~= '' then keep(P .. 'user:' .. mine.f[F.user], ttl) end
  if mine.f[F.slot] ~= '' then keep(P .. 'slot:' .. mine.f[F.slot], ttl) end
  for i = F.uses, #mine.f, 2 do keep(P .. 'use:' .. mine.f[i], ttl) end
  if mine.tag ~= NOBODY then
    redis.call('ZADD', P .. 'owner:' .. mine.tag, now, m)
    keep(P .. 'owner:' .. mine.tag, ttl)
  end
  return {HELD, '', answer(mine), {}, {}, {}, {}, damaged}
end

local seat = {m = m, seen = now, kept = now, expires = now + ttl, passes = flag('p'), tag = tag}
seat.f = {started, ARGV[14], ARGV[15], tonumber(ARGV[16]), 0, '', '', ARGV[17], ARGV[18], ARGV[19], ARGV[20], ARGV[21], ARGV[22], ARGV[23], ARGV[24], 0}
local names, max = {}, {}
local at = 26
for i = 1, tonumber(ARGV[12]) do
  names[i], max[i] = ARGV[at], tonumber(ARGV[at + 1])
  seat.f[#seat.f + 1], seat.f[#seat.f + 2] = names[i], max[i]
  at = at + 2
end
local slot = ARGV[15]

-- 3
local app
if flag('a') and m ~= id .. '\0' then
  app = live(id .. '\0')
  if app and app.f[F.api] == 1 then
    seat.f[F.api], seat.f[F.started] = 1, app.f[F.started]
    for _, i in ipairs({F.user, F.device, F.dtype, F.service}) do
      if app.f[i] ~= '' then seat.f[i] = app.f[i] end
    end
  else
    app = nil
  end
end

-- staler orders seats by when they were last seen.
local function staler(a, b)
  if a.seen ~= b.seen then return a.seen < b.seen end
  return earlier(a, b)
end

-- stalest is the one of the owner's seats last seen at or before a time that is meant by ok, and was seen least recently.
local function stalest(before, ok)
  local best
  local from = 0
  while tag ~= NOBODY do
    local some = redis.call('ZRANGE', P .. 'owner:' .. tag, from, from + 19)
    if #some == 0 then break end
    for _, o in ipairs(some) do
      local s = live(o)
      if not s then
        redis.call('ZREM', P .. 'owner:' .. tag, o)
      else
        from = from + 1
        if s.seen > before or best and s.seen > best.seen then return best end
        if not (app and o == app.m) and ok(s) and (not best or staler(s, best)) then best = s end
      end
    end
  end
  return best
end

-- 4
local old
if not flag('g') and seat.passes then
  old = stalest(now, function(s) return s.passes and s.f[F.guard] <= now end)
end

-- What is left out of the count under each use: the seat's own slot, and what goes if the claim is granted.
local out, count, full = {}, {}, {}
for i, name in ipairs(names) do
  out[i] = {}
  local n = 0
  local function leave(what)
    if not out[i][what] and redis.call('ZSCORE', P .. 'use:' .. name, what) and (not doubtful(name) or lives(name, what)) then n = n + 1 end
    out[i][what] = true
  end
  if slot ~= '' then leave('\0' .. slot) end
  if old then leave(old.m) end
  if app and counts_under(app, name) then
    local alone = true
    if app.f[F.slot] ~= '' then
      for _, s in ipairs(mates(app.f[F.slot])) do
        if s.m ~= app.m and counts_under(s, name) and live(s.m) then alone = false end
      end
    end
    if alone then leave(place(app)) end
  end
  count[i] = taken(name, max[i] + n) - n
  if n == 0 and count[i] >= max[i] then full[#full + 1] = i end -- else the seat is not one more
end

-- grant gives the seat, and takes away what it is given at the cost of.
local function grant(gone, ended, back)
  local took, over = {}, {}
  for i, s in ipairs(gone) do
    if i == 1 then
      seat.f[F.from], seat.f[F.passed] = s.m, string.format('%d', now)
      if s.f[F.from] == m then seat.f[F.passed] = string.sub(s.f[F.passed] .. ' ' .. seat.f[F.passed], -69) end
    end
    drop(s)
    tell({taken = {m = s.m}})
    took[i] = s.m
  end
  if back then
    drop(back)
    tell({taken = {m = back.m}})
    took[#took + 1] = back.m
  end
  for i, s in ipairs(ended) do
    drop(s)
    finish(s.m, 'evicted', sentence)
    over[i] = s.m
  end
  if app then drop(app) end

  redis.call('SET', P .. 'seat:' .. m, encode(seat))
  redis.call('ZADD', P .. 'exp', seat.expires, m)
  redis.call('ZADD', P .. 'all', seat.f[F.started], m)
  redis.call('ZADD', P .. 'ids', 0, m)
  keep(P .. 'seat:' .. m, ttl)
  if seat.f[F.user] ~= '' then
    redis.call('ZADD', P .. 'user:' .. seat.f[F.user], seat.f[F.started], m)
    keep(P .. 'user:' .. seat.f[F.user], ttl)
  end
  if tag ~= NOBODY then
    redis.call('ZADD', P .. 'owner:' .. tag, now, m)
    keep(P .. 'owner:' .. tag, ttl)
  end
  if slot ~= '' then
    redis.call('SADD', P .. 'slot:' .. slot, m)
    keep(P .. 'slot:' .. slot, ttl)
  end
  for i, name in ipairs(names) do count_under(seat, name, max[i], ttl) end
  keep_common(ttl)
  return {HELD, '', answer(seat), took, over, {}, {}, damaged}
end

-- 5
if #full == 0 or flag('r') then return grant({old}, {}) end

-- helps tells how many places under each full use would be free without these seats.
local function helps(seats)
  local freed, without = {}, {}
  for _, s in ipairs(seats) do
    for _, i in ipairs(full) do
      local what = place(s)
      if counts_under(s, names[i]) and not out[i][what] and not without[i .. ' ' .. what] then
        freed[i] = (freed[i] or 0) + 1
        without[i .. ' ' .. what] = true
      end
    end
  end
  return freed
end

-- room tells whether there is some when these seats have gone.
local function room(seats)
  local freed = helps(seats)
  for _, i in ipairs(full) do
    if count[i] - (freed[i] or 0) >= max[i] then return false end
  end
  return true
end

-- same tells whether a seat that passes back gives its place under all that is full up.
local function same(s)
  for _, i in ipairs(full) do
    if not counts_under(s, names[i]) then return false end
  end
  return true
end

local back = ARGV[25] ~= '' and ARGV[25] ~= m and live(ARGV[25])
if back and back.f[F.slot] == '' and back.f[F.from] == m and not (app and app.m == back.m) and not (old and old.m == back.m) and same(back) then
  return grant({old}, {}, back)
end

-- in_the_way tells whether a seat counts under something full, and its end would help.
local function in_the_way(s)
  if app and s.m == app.m then return false end
  for _, i in ipairs(full) do
    if counts_under(s, names[i]) and not out[i][place(s)] then return true end
  end
  return false
end

-- together are the seats that go with one: those in the way that share its slot. It stands first.
local function together(s)
  local all = {}
  if s.f[F.slot] ~= '' then
    for _, o in ipairs(mates(s.f[F.slot])) do
      o = o.m ~= s.m and live(o.m)
      if o and in_the_way(o) then all[#all + 1] = o end
    end
    table.sort(all, earlier)
  end
  table.insert(all, 1, s)
  return all
end

-- seats_of are the live ones at a place under a full use, those first that began first.
local function seats_of(i, what)
  if string.byte(what, 1) ~= 0 then return {live(what)} end
  local all = {}
  for _, s in ipairs(mates(string.sub(what, 2))) do
    s = not (app and s.m == app.m) and live(s.m)
    if s and counts_under(s, names[i]) then all[#all + 1] = s end
  end
  table.sort(all, earlier)
  return all
end

-- refuse names what is full and, of those in the way, the first twenty: only these are read.
local function refuse(outcome)
  local first, known = {}, {}
  for _, i in ipairs(full) do
    local from, n = 0, 0
    local doubt = doubtful(names[i])
    while n < 20 do
      local some = redis.call('ZRANGE', P .. 'use:' .. names[i], from, from + 24, 'WITHSCORES')
      if #some == 0 then break end
      for k = 1, #some, 2 do
        if out[i][some[k]] then
          from = from + 1
        elseif known[some[k]] or not doubt or lives(names[i], some[k]) then
          from, n = from + 1, n + 1
          if not known[some[k]] then first[#first + 1] = {what = some[k], at = tonumber(some[k + 1]), use = i} end
          known[some[k]] = true
          if n == 20 then break end
        end
      end
    end
  end
  table.sort(first, function(a, b) return a.at < b.at end)
  local all, had = {}, {}
  for k, p in ipairs(first) do
    if k > 20 and p.at > first[k - 1].at then break end
    if string.byte(p.what, 1) == 0 then
      for _, s in ipairs(mates(string.sub(p.what, 2))) do
        s = live(s.m)
        if s and not had[s.m] and in_the_way(s) then all[#all + 1], had[s.m] = s, true end
      end
    else
      local s = live(p.what)
      if s then all[#all + 1] = s end
    end
  end
  table.sort(all, earlier)
  local conflicts, numbers = {}, {}
  for i = 1, math.min(#all, 20) do conflicts[i] = answer(all[i]) end
  for i, n in ipairs(full) do numbers[i] = n end
  return {outcome, '', {}, {}, {}, numbers, conflicts, damaged}
end

local function rival(s)
  for _, i in ipairs(full) do
    if not counts_under(s, names[i]) or out[i][place(s)] then return false end
  end
  return true
end

local function guard(s)
  s.f[F.guard], s.f[F.guarded] = now + ttl, now
  redis.call('SET', P .. 'seat:' .. s.m, encode(s), 'KEEPTTL')
end

-- turn_away refuses; the owner's seats that are guarded, and were seen since, stay so.
local function turn_away()
  stalest(now, function(s)
    if s.f[F.guard] > now and s.seen > s.f[F.guarded] and rival(s) then guard(s) end
    return false
  end)
  return refuse(REFUSED)
end

-- 6, 7
if flag('g') and tag ~= NOBODY then
  local silent = stalest(now - silence, function(s) return s.f[F.guard] <= now and rival(s) end)
  if silent then return grant(together(silent), {}) end

  local other = stalest(now, function(s) return s.f[F.from] == m and rival(s) end)
  if other and other.f[F.guard] > now then return turn_away() end
  if other then
    local lately = 0
    for t in string.gmatch(other.f[F.passed], '%d+') do
      if now - tonumber(t) < ttl then lately = lately + 1 end
    end
    if lately < 2 then return grant(together(other), {}) end
    if seat.f[F.started] < other.f[F.started] then
      seat.f[F.guard], seat.f[F.guarded] = now + ttl, now
      return grant(together(other), {})
    end
    guard(other)
    return refuse(REFUSED)
  end
end

-- 8
local named, known = {}, {}
for i = at, at + tonumber(ARGV[13]) - 1 do
  local s = not known[ARGV[i]] and live(ARGV[i])
  if s and s.f[F.user] ~= '' and s.f[F.user] == seat.f[F.user] and in_the_way(s) then
    for _, o in ipairs(together(s)) do
      if not known[o.m] then named[#named + 1] = o end
      known[o.m] = true
    end
  end
end
if #named > 0 and room(named) then return grant({old}, named) end

-- 9
if policy ~= 'end-oldest' then return turn_away() end
if tag ~= NOBODY then
  local cooled = tonumber(redis.call('GET', P .. 'cool:' .. tag) or '')
  if cooled and now - cooled < cooldown then
    cooled = math.min(math.max(math.floor(cooled), now - math.floor(cooldown * 3 / 4)), now)
    redis.call('SET', P .. 'cool:' .. tag, string.format('%d', cooled), 'PX', string.format('%d', cooled + cooldown - now))
    return refuse(COOLING)
  end
end
for _, i in ipairs(full) do
  if max[i] < 1 then return turn_away() end -- nobody's end makes room
end

-- oldest is the place under a use that began first of those that are still to go, and its seats.
local passed_over = {}
local function oldest(i)
  local key = P .. 'use:' .. names[i]
  local from = passed_over[i] or 0
  local what, seats
  local function consider(other)
    if out[i][other] or not lives(names[i], other) then return end
    local theirs = seats_of(i, other)
    if #theirs > 0 and (not what or earlier(theirs[1], seats[1])) then what, seats = other, theirs end
  end
  local shared = app and string.byte(place(app), 1) == 0 and place(app) -- it may stand too early: the adopted seat may be its oldest
  while not what do
    local got = redis.call('ZRANGE', key, from, from, 'WITHSCORES')
    if #got == 0 then break end
    if out[i][got[1]] or got[1] == shared then
      from = from + 1
    elseif not lives(names[i], got[1]) then
      count[i] = count[i] - 1
    else
      passed_over[i] = from
      consider(got[1])
      -- Slots stand before seats that began at the same time; the one whose first seat comes first is meant.
      if string.byte(got[1], 1) == 0 then
        for _, other in ipairs(redis.call('ZRANGEBYSCORE', key, got[2], got[2])) do consider(other) end
      end
    end
  end
  if shared and redis.call('ZSCORE', key, shared) then consider(shared) end
  return what, seats
end

local ended = {}
while true do
  local what, seats
  for _, i in ipairs(full) do
    if count[i] >= max[i] then
      local w, s = oldest(i)
      if w and (not what or earlier(s[1], seats[1])) then what, seats = w, s end
    end
  end
  if not what then break end
  seats = together(seats[1])
  for i, n in pairs(helps(seats)) do
    count[i] = count[i] - n
    out[i][what] = true
  end
  for _, s in ipairs(seats) do ended[#ended + 1] = s end
end
for _, i in ipairs(full) do
  if count[i] >= max[i] then return turn_away() end
end
for _, s in ipairs(ended) do
  if s.tag ~= NOBODY and cooldown > 0 then redis.call('SET', P .. 'cool:' .. s.tag, string.format('%d', now), 'PX', cooldown) end
end
return grant({old}, ended)
