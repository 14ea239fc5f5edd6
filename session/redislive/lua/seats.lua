--[[
Lists seats, those first that began first, a page at a time.

ARGV: me, user, id, how many at most, when the last one of the page before began, and its m (both empty: the first page).

Returns how many were damaged, 1 if there are more though the page is not full, and the seats.
]]

local user, id, limit = ARGV[2], ARGV[3], tonumber(ARGV[4])
local result = {0, 0}

purge(100)
if id ~= '' then
  -- All groups of an id: there are a few of them, so they are put in order here.
  local some = {}
  for _, m in ipairs(redis.call('ZRANGEBYLEX', P .. 'ids', '[' .. id .. '\0', '(' .. id .. '\1', 'LIMIT', 0, 1000)) do
    some[#some + 1] = live(m)
  end
  table.sort(some, earlier)
  local after = tonumber(ARGV[5])
  for _, s in ipairs(some) do
    if #result < limit + 2 and (not after or s.f[F.started] > after or s.f[F.started] == after and s.m > ARGV[6]) then
      result[#result + 1] = answer(s)
    end
  end
  result[1] = damaged
  return result
end

local key = P .. 'all'
if user ~= '' then key = P .. 'user:' .. user end
local from = 0
if ARGV[5] ~= '' then from = redis.call('ZCOUNT', key, '-inf', '(' .. ARGV[5]) end
local dead = 0
while #result < limit + 2 and dead < 500 do
  local some = redis.call('ZRANGE', key, from, from + 99, 'WITHSCORES')
  if #some == 0 then break end
  for i = 1, #some, 2 do
    local m = some[i]
    if ARGV[5] ~= '' and tonumber(some[i + 1]) == tonumber(ARGV[5]) and m <= ARGV[6] then
      from = from + 1
    else
      local s = #result < limit + 2 and live(m)
      if s then
        result[#result + 1] = answer(s)
        from = from + 1
      elseif #result < limit + 2 then
        redis.call('ZREM', key, m)
        dead = dead + 1
      else
        break
      end
    end
  end
end
result[1] = damaged
if dead >= 500 then result[2] = 1 end
return result
