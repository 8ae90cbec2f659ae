-- One fenced write into one bucket: all of it, or nothing.
--
-- KEYS: 1 fence hash, 2 sequence, then per view its change log, then per delta the key of its state (views in order).
-- ARGV: 1 fence field, 2 from, 3 to, 4 applied, 5 duplicates, 6 dead, 7 epoch, 8 number of views,
--       then per view: section spec (merge.lua), length of the key before the entity, number of deltas; then the deltas.
-- Returns the stored next offset: `to` where the write was applied.
--
-- Everything is merged before anything is written: Redis does not roll back a script that fails half-way.

local call, args = redis.call, unpack
local field, from, to = ARGV[1], ARGV[2], ARGV[3]
local fence = call('HGET', KEYS[1], field) or '0'
if fence ~= from then return tonumber(fence) end

local views = tonumber(ARGV[8])
local first_delta = 9 + 3 * views
local key, delta = 3 + views, first_delta
local writes, w, changes = {}, 0, {}
for view = 1, views do
  local spec, prefix, count = ARGV[6 + 3 * view], tonumber(ARGV[7 + 3 * view]), tonumber(ARGV[8 + 3 * view])
  local kinds, parameters = parse(spec)
  local entities = {}
  for start = key, key + count - 1, 1000 do
    local states = call('MGET', args(KEYS, start, math.min(start + 999, key + count - 1)))
    for i = 1, #states do
      local name, d = KEYS[start + i - 1], ARGV[delta]
      local s = states[i]
      writes[w + 1] = name
      writes[w + 2] = s and merge(s, d, kinds, parameters) or d
      w = w + 2
      entities[#entities + 1] = sub(name, prefix + 1)
      delta = delta + 1
    end
  end
  key = key + count
  changes[view] = entities
end

for start = 1, w, 1000 do
  call('MSET', args(writes, start, math.min(start + 999, w)))
end
if w > 0 then
  local sequence = string.format('%.0f', call('INCR', KEYS[2]))
  if sequence == '1' then call('HSET', KEYS[1], '!epoch', ARGV[7]) end
  for view = 1, views do
    local entities = changes[view]
    local members, m = {}, 0
    for i = 1, #entities do
      members[m + 1] = sequence
      members[m + 2] = entities[i]
      m = m + 2
      if m == 1000 or i == #entities then
        call('ZADD', KEYS[2 + view], args(members, 1, m))
        m = 0
      end
    end
  end
end
call('HSET', KEYS[1], field, to)
for i, name in ipairs({ '!applied', '!duplicates', '!dead' }) do
  if ARGV[3 + i] ~= '0' then call('HINCRBY', KEYS[1], field .. name, ARGV[3 + i]) end
end
return tonumber(to)
