--[[
Frees seats. Nothing is denied to their sessions.

ARGV: me, m of each. Returns how many were damaged.
]]

for i = 2, #ARGV do
  local s = live(ARGV[i])
  if s then drop(s) end
end
return damaged
