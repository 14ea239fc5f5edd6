--[[
Lists the limits that anybody counts under, in order of their names, a page at a time.

ARGV: me, the name after which to begin, how many names to look at.

Returns how many were damaged, the last name looked at (empty: there are no more), then name, max and count of each.
]]

local after, n = ARGV[2], tonumber(ARGV[3])
local from = '-'
if after ~= '' then from = '(' .. after end

for _ = 1, 20 do
  purge(100)
  if not backlog then break end
end
local result = {0, ''}
local names = redis.call('ZRANGEBYLEX', P .. 'uses', from, '+', 'LIMIT', 0, n)
for _, name in ipairs(names) do
  if unchecked(name) then
    for _, what in ipairs(redis.call('ZRANGE', P .. 'use:' .. name, 0, -1)) do lives(name, what) end
  end
  local count = redis.call('ZCARD', P .. 'use:' .. name)
  if count > 0 then
    result[#result + 1] = name
    result[#result + 1] = tonumber(redis.call('HGET', P .. 'max', name) or '') or 0
    result[#result + 1] = count
  else
    redis.call('ZREM', P .. 'uses', name)
    redis.call('HDEL', P .. 'max', name)
  end
end
if #names == n then result[2] = names[n] end
result[1] = damaged
return result
