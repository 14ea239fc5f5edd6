--[[
Takes a note down.

ARGV: me, kind NUL id. Returns 1 if it was there and not over.
]]

local key = P .. 'board'
local note = redis.call('HGET', key, ARGV[2])
if not note then return 0 end
redis.call('HDEL', key, ARGV[2])
tell({posted = true})
local till = tonumber(string.match(note, '^%d+') or '') or 0
if till ~= 0 and till <= now then return 0 end
return 1
