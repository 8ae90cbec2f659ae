-- Drops the fences of incarnations that are gone from one bucket; adds their counters up under another name.
-- KEYS: 1 fence hash. ARGV: 1 the name of the sums, then the incarnations to keep.

local keep = {}
for i = 1, #ARGV do
  keep[ARGV[i]] = true
end
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  local incarnation, topic, counter = string.match(fields[i], '^(.*)/([^/]+)/%d+!?(.*)$')
  if incarnation and not keep[incarnation] then
    redis.call('HDEL', KEYS[1], fields[i])
    if counter ~= '' then
      redis.call('HINCRBY', KEYS[1], ARGV[1] .. '/' .. topic .. '/0!' .. counter, fields[i + 1])
    end
  end
end
