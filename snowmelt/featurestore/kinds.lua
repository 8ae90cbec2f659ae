-- The kinds of sections, and how a delta's bytes are merged into a state's; merge.lua comes after it in one script.
--
-- Strings are never compared with `<`: Lua compares them by the server's locale. Redis serves nobody else meanwhile, so
-- that what comes often has a way of its own in merge.lua.

local get, put = struct.unpack, struct.pack
local sub, find, byte = string.sub, string.find, string.byte
local floor, concat = math.floor, table.concat
local EXACT = 9007199254740992

-- Whether the big-endian u64 at s[p] lies before the one at d[q], the two being equal as doubles, which hold 53 bits.
local function before_by_halves(s, p, d, q)
  local a1, a2 = get('>I4I4', s, p)
  local b1, b2 = get('>I4I4', d, q)
  return a1 < b1 or (a1 == b1 and a2 < b2)
end

-- The first of the records [lo, hi) of s whose u64 is not before `key`, the u64 at d[q]; the tail is tried first.
local function place(s, width, lo, hi, key, d, q)
  local mid = hi - 1
  while lo < hi do
    local a = get('>I8', s, mid * width + 1)
    if a < key or (a == key and a >= EXACT and before_by_halves(s, mid * width + 1, d, q)) then
      lo = mid + 1
    else
      hi = mid
    end
    mid = (lo + hi) / 2
    mid = mid - mid % 1
  end
  return lo
end

local function same(s, p, d, q, key)
  return get('>I8', s, p) == key and (key < EXACT or sub(s, p, p + 7) == sub(d, q, q + 7))
end

-- Merges two runs of records sorted by their u64; `join` makes the bytes of a record that both have.
local function sweep(s, d, width, join, parameter)
  local n, out, k, from = #s / width, {}, 0, 0
  for q = 1, #d, width do
    local key = get('>I8', d, q)
    local at = place(s, width, from, n, key, d, q)
    if at > from then
      k = k + 1
      out[k] = sub(s, from * width + 1, at * width)
    end
    k = k + 1
    if at < n and same(s, at * width + 1, d, q, key) then
      out[k] = join(s, at * width + 1, d, q, parameter)
      from = at + 1
    else
      out[k] = sub(d, q, q + width - 1)
      from = at
    end
  end
  if from < n then
    k = k + 1
    out[k] = sub(s, from * width + 1)
  end
  return concat(out)
end

local function add(s, p, d, q)
  return sub(s, p, p + 7) .. put('>d', get('>d', s, p + 8) + get('>d', d, q + 8))
end

local function lesser(s, p, d, q)
  return get('>d', d, q + 8) < get('>d', s, p + 8) and sub(d, q, q + 15) or sub(s, p, p + 15)
end

local function greater(s, p, d, q)
  return get('>d', d, q + 8) > get('>d', s, p + 8) and sub(d, q, q + 15) or sub(s, p, p + 15)
end

local function decay(s, p, d, q, half_life)
  local t1, a = get('>I8d', s, p + 8)
  local t2, b = get('>I8d', d, q + 8)
  if t1 < t2 then return sub(s, p, p + 7) .. put('>I8d', t2, a * 2 ^ ((t1 - t2) / half_life) + b) end
  return sub(s, p, p + 7) .. put('>I8d', t1, a + b * 2 ^ ((t2 - t1) / half_life))
end

-- Drops the tiles that lie more than `keep` before the newest.
local function prune(s, keep)
  if keep == 0 then return s end
  local oldest = get('>I8', s, #s - 15) - keep
  if get('>I8', s, 1) >= oldest then return s end
  return sub(s, place(s, 16, 0, #s / 16, oldest) * 16 + 1)
end

local function tiles(join)
  return function(s, d, keep)
    local first, newest = get('>I8', d, 1), get('>I8', s, #s - 15)
    if first > newest then return prune(s .. d, keep) end
    if first == newest then return prune(sub(s, 1, #s - 16) .. join(s, #s - 15, d, 1) .. sub(d, 17), keep) end
    return prune(sweep(s, d, 16, join), keep)
  end
end

-- Where the record of the item at d[q] begins in s, between p and stop; nil where there is none.
local function find_item(s, p, stop, d, q)
  local item = sub(d, q + 8, q + 15)
  local at = find(s, item, p + 8, true)
  while at and at < stop and (at - p) % 16 ~= 8 do
    at = find(s, item, at + 1, true)
  end
  return at and at < stop and at - 8
end

-- Whether the record at s[p] is older than the one at d[q]: the order of the 16 bytes.
local function older(s, p, d, q)
  local a, b = get('>I8', s, p), get('>I8', d, q)
  if a ~= b then return a < b end
  a, b = get('>I8', s, p + 8), get('>I8', d, q + 8)
  if a ~= b then return a < b end
  return before_by_halves(s, p + 8, d, q + 8)
end

local function newest(s, d, limit)
  local out, k, fresh = {}, 0, {}
  for q = 1, #d, 16 do
    local old = find_item(s, 1, #s + 1, d, q)
    if not old or older(s, old, d, q) then
      if old then s = sub(s, 1, old - 1) .. sub(s, old + 16) end
      fresh[#fresh + 1] = q
    end
  end
  local from, n = 0, #s / 16
  for i = 1, #fresh do
    local q, lo, hi = fresh[i], from, n
    local mid = hi - 1
    while lo < hi do
      if older(s, mid * 16 + 1, d, q) then lo = mid + 1 else hi = mid end
      mid = floor((lo + hi) / 2)
    end
    out[k + 1] = sub(s, from * 16 + 1, lo * 16)
    out[k + 2] = sub(d, q, q + 15)
    k, from = k + 2, lo
  end
  out[k + 1] = sub(s, from * 16 + 1)
  local merged = concat(out)
  if #merged > 16 * limit then return sub(merged, -16 * limit) end
  return merged
end

-- Appends to `out`, of the records of one register, those that no equal or higher rank outlives.
local function frontier(s, p, stop, d, q, stop_d, out, k)
  local keys, times, n = {}, {}, 0
  while p < stop or q < stop_d do
    local a, b, ta, tb = 1 / 0, 1 / 0, 0, 0
    if p < stop then a, ta = get('>I8d', s, p) end
    if q < stop_d then b, tb = get('>I8d', d, q) end
    n = n + 1
    if a < b or (a == b and ta < tb) then
      keys[n], times[n], p = a, ta, p + 16
    else
      keys[n], times[n], q = b, tb, q + 16
    end
  end
  local latest, kept = -1 / 0, {}
  for i = n, 1, -1 do
    if times[i] > latest then
      latest = times[i]
      kept[#kept + 1] = i
    end
  end
  for i = #kept, 1, -1 do
    k = k + 1
    out[k] = put('>I8d', keys[kept[i]], times[kept[i]])
  end
  return k
end

local function registers(s, d)
  local n, out, k, from, q = #s / 16, {}, 0, 0, 1
  while q < #d do
    local key, time = get('>I8d', d, q)
    local low = key - key % 64
    local stop_d = q + 16
    while stop_d < #d and get('>I8', d, stop_d) < low + 64 do stop_d = stop_d + 16 end
    local at = place(s, 16, from, n, low)
    if stop_d == q + 16 then  -- times fall as ranks rise: what it outlives stands in one piece
      local stop, a, t = at, 1 / 0, 0
      while stop < n do
        a, t = get('>I8d', s, stop * 16 + 1)
        if a >= key then break end
        if t > time then at = stop + 1 end
        stop = stop + 1
      end
      if stop == n or a >= low + 64 or t < time then
        out[k + 1] = sub(s, from * 16 + 1, at * 16)
        out[k + 2] = sub(d, q, q + 15)
        k, from = k + 2, stop
        if a == key and stop < n then from = stop + 1 end
      end
    else
      local stop = place(s, 16, at, n, low + 64)
      out[k + 1] = sub(s, from * 16 + 1, at * 16)
      k = frontier(s, at * 16 + 1, stop * 16 + 1, d, q, stop_d, out, k + 1)
      from = stop
    end
    q = stop_d
  end
  out[k + 1] = sub(s, from * 16 + 1)
  return concat(out)
end

-- The record with the greater bytes wins; heads are equal only where a record comes again.
local function last(s, d)
  local t1, o1 = get('>I8I8', s, 1)
  local t2, o2 = get('>I8I8', d, 1)
  if t1 ~= t2 then return t1 < t2 and d or s end
  if o1 ~= o2 then return o1 < o2 and d or s end
  for i = 17, #d do
    local a, b = byte(s, i), byte(d, i)
    if a ~= b then return (a == nil or a < b) and d or s end
  end
  return s
end

local MERGES = {
  [97] = tiles(add),
  [110] = tiles(lesser),
  [120] = tiles(greater),
  [100] = function(s, d, half_life) return sweep(s, d, 24, decay, half_life) end,
  [119] = newest,
  [114] = registers,
  [108] = last,
}
