--[[
Frees a seat, if there is one, and denies it to its session for a time.

ARGV: me, m, reason, for how long. Returns how many were damaged.
]]

local s = live(ARGV[2])
if s then drop(s) end
finish(ARGV[2], ARGV[3], tonumber(ARGV[4]))
return damaged
