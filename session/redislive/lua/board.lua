--[[
Lists the notes that are not over, and takes down those that are.

ARGV: me. Returns kind NUL id, until NEWLINE body, of each in turn.
]]

local key = P .. 'board'
local all = redis.call('HGETALL', key)
local result = {}
for i = 1, #all, 2 do
  local till = tonumber(string.match(all[i + 1], '^%d+') or '') or 0
  if till ~= 0 and till <= now then
    redis.call('HDEL', key, all[i])
  else
    result[#result + 1] = all[i]
    result[#result + 1] = all[i + 1]
  end
end
keep_board()
return result
