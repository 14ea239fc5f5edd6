--[[
Gives seats back that an edge holds. Nothing is denied to their sessions.

ARGV: me, edge (empty: whoever holds them), m of each. Returns how many were damaged.
]]

for i = 3, #ARGV do
  local s = live(ARGV[i])
  if s and (ARGV[2] == '' or not let_go(s, ARGV[2])) then drop(s) end
end
return damaged
