--[[
Puts a note on the board, or replaces it.

ARGV: me, kind NUL id, until (0: for ever), body, how many notes there may be. Returns 1, or 0 if the board is full.
]]

local key = P .. 'board'
if redis.call('HEXISTS', key, ARGV[2]) == 0 and redis.call('HLEN', key) >= tonumber(ARGV[5]) then return 0 end
redis.call('HSET', key, ARGV[2], ARGV[3] .. '\n' .. ARGV[4])
keep_board()
tell({posted = true})
return 1
