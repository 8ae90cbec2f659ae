-- One fenced write into one bucket: all of it, or nothing.
--
-- KEYS: 1 fence hash, 2 sequence, then per view its change log, then per delta the key of its state (views in order).
-- ARGV: 1 epoch, 2 number of ranges, then per range: fence field, from, to, applied, duplicates, dead;
--       then the number of views, per view: section spec (merge.lua), length of the key before the entity, number of
--       deltas; then the deltas.
-- Returns the stored next offset of each range: `to` of all where the write was applied; nothing of it is where one
-- of them does not begin at its fence. The error DAMAGED names the key of a state that cannot be merged.
--
-- Everything is merged before anything is written: Redis does not roll back a script that fails half-way.

local call, args = redis.call, unpack
local ranges = tonumber(ARGV[2])
local fields = {}
for i = 1, ranges do
  fields[i] = ARGV[6 * i - 3]
end
local fences, refused = call('HMGET', KEYS[1], args(fields)), false
for i = 1, ranges do
  local fence = fences[i] or '0'
  refused = refused or fence ~= ARGV[6 * i - 2]
  fences[i] = tonumber(fence)
end
if refused then return fences end

local head = 3 + 6 * ranges
local views = tonumber(ARGV[head])
local first_delta = head + 3 * views + 1
local key, delta = 3 + views, first_delta
local writes, w, changes, merging = {}, 0, {}, nil
local function merge_all()
  for view = 1, views do
    local at = head + 3 * view - 2
    local spec, prefix, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local kinds, parameters = parse(spec)
    local entities = {}
    for start = key, key + count - 1, 1000 do
      local states = call('MGET', args(KEYS, start, math.min(start + 999, key + count - 1)))
      for i = 1, #states do
        local name, d = KEYS[start + i - 1], ARGV[delta]
        local s = states[i]
        merging = name
        writes[w + 1] = name
        writes[w + 2] = s and merge(s, d, kinds, parameters) or d
        w = w + 2
        entities[#entities + 1] = sub(name, prefix + 1)
        delta = delta + 1
      end
      merging = nil
    end
    key = key + count
    changes[view] = entities
  end
end

local whole, why = pcall(merge_all)
if not whole and merging then return redis.error_reply('DAMAGED ' .. merging) end
if not whole then error(why) end

for start = 1, w, 1000 do
  call('MSET', args(writes, start, math.min(start + 999, w)))
end
if w > 0 then
  local sequence = string.format('%.0f', call('INCR', KEYS[2]))
  if sequence == '1' then call('HSET', KEYS[1], '!epoch', ARGV[1]) end
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
local ends = {}
for i = 1, ranges do
  local at = 6 * i - 3
  ends[2 * i - 1], ends[2 * i] = ARGV[at], ARGV[at + 2]
  fences[i] = tonumber(ARGV[at + 2])
  for k, name in ipairs({ '!applied', '!duplicates', '!dead' }) do
    if ARGV[at + 2 + k] ~= '0' then call('HINCRBY', KEYS[1], ARGV[at] .. name, ARGV[at + 2 + k]) end
  end
end
call('HSET', KEYS[1], args(ends))
return fences
